# SPDX-License-Identifier: MIT
"""keeld and /dev/keel in a running system: windows of every size, what a peer is told without a policy,
what it can use up of Linux, and what keeld itself may do.
"""
import re

import pytest
from conftest import IMAGES
from systems import MIB, channel, copy_disk, log_text, make_bundle, partition, system, wait_said

pytestmark = [pytest.mark.group("keeld"), pytest.mark.limit(200)]


def start(machine, folder, script, rootfs=None, window=MIB, memory=2 * MIB, disk=True):
    """The everyday system with another script for its peer."""
    made = make_bundle(folder, system(partition("lua", memory=memory, cmdline="lua /boot/s.lua", modules="s.lua"),
                                      channel("lua", window=window)), {"s.lua": script}, rootfs)
    linux = machine(*(["--disk", str(copy_disk(folder))] if disk else []), "--bundle", made)
    linux.wait_prompt()
    return linux


def settle(linux, pattern):
    """Wait for a line of the peer's, then for a prompt of its own line."""
    assert wait_said(linux, pattern, timeout=60), log_text(linux)[-2000:]
    linux.send("\r")
    linux.wait_prompt()


COUNT = """
local n = 0
for line in io.lines("/mnt/words.txt", "L") do n = n + #line end
print("read", n)
"""


@pytest.mark.parametrize("mib", [4, 8, 16], ids=["window-of-4-mib", "window-of-8-mib", "window-of-16-mib"])
def test_window(machine, tmp_path, mib):
    """A window as large as the manifest allows is given, in one piece, and is used."""
    linux = start(machine, tmp_path, COUNT, window=mib * MIB)
    settle(linux, r"\[lua\] read\s+\d+")
    assert re.search(r"\[lua\] read\s+10485\d\d", log_text(linux))
    assert f"window {mib}M" in linux.shell("keelctl caps")
