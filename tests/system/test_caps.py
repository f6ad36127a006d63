# SPDX-License-Identifier: MIT
"""Delegation and channels between peers, without a Linux (tests/peer/caps.c).

Failure looks like a line with BAD, a step that does not come, or a watcher that can do more than it was given.
"""
import re

import pytest
from conftest import BUILD
from systems import compile_tree, log_text, partition, system, write_bundle

pytestmark = [pytest.mark.group("caps"), pytest.mark.limit(150)]

STEPS = {
    "boss": ["boss is connected with talk", "a window is given", "watch is connected with talk", "boss gives", "boss sees what watch holds",
             "boss closes", "its window is its own, and zero", "its handle is void", "talk has ended where the window was",
             "and it is still zero", "boss takes back"],
    "watch": ["watch sees the state of talk", "watch reads the log", "watch cannot end talk", "watch cannot read its console",
              "watch cannot give talk anything", "watch cannot connect itself", "a window is given", "watch hears talk",
              "watch has lost both at once"],
}


@pytest.mark.parametrize("cpus", [1, 2], ids=["peers-on-one-cpu", "peers-on-two-cpus"])
def test_peers_without_linux(machine, tmp_path, cpus):
    """A watcher gets the log and the state of another, and no more, until both are taken back; a channel is closed in the middle of a transfer."""
    peers = "".join(partition(name, "caps.elf", 1 << 19, name, more="control;" if name == "boss" else "") for name in ("boss", "watch", "talk"))
    given = {"system.dtb": compile_tree(system(peers, linux="")), "caps.elf": BUILD / "tests" / "peer" / "caps.elf"}
    keel = machine("--bundle", str(write_bundle(tmp_path, given)), "--mem", "128M", "--cpus", str(cpus), timeout=120)
    assert keel.wait_exit() == 0
    text = log_text(keel)
    assert "BAD" not in text
    for name, steps in STEPS.items():
        said = re.findall(rf"^\[{name}\] (.*)$", text, re.M) if name != "boss" else re.findall(r"^(?!\[)(.+)$", text, re.M)
        assert [line.strip() for line in said if line.strip() in steps] == steps, said
    assert re.search(r"^\[keel\] talk: faulted: ", text, re.M)
