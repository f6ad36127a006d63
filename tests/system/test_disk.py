# SPDX-License-Identifier: MIT
"""The disk is clean however the machine is left: e2fsck finds nothing to do, not even a journal to replay."""
import subprocess

import pytest
from conftest import IMAGES
from systems import copy_disk, log_text, start_shared, wait_said

pytestmark = [pytest.mark.group("demo"), pytest.mark.limit(150)]

SBIN = {"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"}


def demo(machine, folder):
    """The demo, up to where Lua has written its result -> machine, disk."""
    disk = copy_disk(folder)
    linux = machine("--disk", str(disk), timeout=120)
    linux.wait_prompt()
    assert wait_said(linux, r"\[lua\] result\.txt written", timeout=60), log_text(linux)[-2000:]
    linux.send("\r")
    linux.wait_prompt()
    return linux, disk


def assert_clean(disk):
    state = subprocess.run(["dumpe2fs", "-h", disk], capture_output=True, text=True, check=True, env=SBIN).stdout
    assert "needs_recovery" not in state
    check = subprocess.run(["e2fsck", "-fn", disk], capture_output=True, text=True, env=SBIN)
    assert check.returncode == 0, check.stdout
    result = subprocess.run(["debugfs", "-R", "cat result.txt", disk], capture_output=True, text=True, check=True, env=SBIN)
    assert "words.txt: " in result.stdout


# What is done before the end, and what ends the machine.
WAYS = {
    "disk-is-clean-after-exit": ("true", "exit"),
    "disk-is-clean-after-the-peer-was-stopped": ("keelctl stop lua", "exit"),
    "disk-is-clean-after-keeld-was-killed": ("kill -9 $(pidof keeld)", "exit"),
    "disk-is-clean-with-a-file-open": ("exec 9>>/mnt/open; echo held >&9; sleep 1000 <&9 & true", "exit"),
    "disk-is-clean-after-poweroff-by-a-program": ("exec 9>>/mnt/open; echo held >&9", "poweroff -f"),
    "disk-is-clean-after-poweroff-without-sync": ("echo late >/mnt/late", "poweroff -f -n"),
}


@pytest.mark.parametrize("way", WAYS)
def test_clean(machine, tmp_path, way):
    """Also when nothing was unmounted: the kernel makes file systems read-only before it powers off."""
    before, end = WAYS[way]
    linux, disk = demo(machine, tmp_path)
    linux.shell(before)
    linux.send(f"{end}\r")
    assert linux.wait_exit() == 0
    assert_clean(disk)


def test_disk_is_clean_after_a_reboot(machine, tmp_path):
    """The same before a reset that Linux asks for."""
    linux, disk = demo(machine, tmp_path)
    linux.send("reboot -f -n\r")
    assert linux.wait_exit() == 123
    assert_clean(disk)
