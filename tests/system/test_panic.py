# SPDX-License-Identifier: MIT
"""What becomes of the machine when Linux panics is what panic= on its command line says."""
import re

import pytest
from conftest import BUILD
from systems import LINUX, channel, log_text, make_bundle, system

pytestmark = [pytest.mark.group("panic"), pytest.mark.limit(150)]

# A peer that waits for what never comes, and one that works on until Linux is dead, and a second longer.
PEERS = """		waiter { kind = "test"; image = "hostile.elf"; memory = /bits/ 64 <0x80000>; priority = <8>;
			shadow-pages = <64>; cmdline = "wait"; };
		worker { kind = "test"; image = "hostile.elf"; memory = /bits/ 64 <0x80000>; priority = <8>;
			shadow-pages = <64>; cmdline = "outlive"; };
"""
PEER_FILES = {"hostile.elf": BUILD / "tests" / "guest" / "hostile.elf"}
CRASHED = 119
RESET = 123		# keel-run: the machine reset itself


def panic(machine, folder, words, linux=LINUX, peers="", end=None):
    """Boot Linux with these words, and perhaps peers, make it panic -> status, serial output."""
    dts = system(peers, channel("worker") if peers else "", linux=linux.replace("panic=0", words))
    if end:
        dts = dts.replace("\tpartitions {", f'\ton-control-lost = "{end}";\n\tpartitions {{', 1)
    keel = machine("--bundle", make_bundle(folder, dts, PEER_FILES if peers else None), timeout=120)
    keel.wait_prompt()
    keel.send("echo c >/proc/sysrq-trigger\r")
    status = keel.wait_exit()
    text = log_text(keel)
    assert "Kernel panic - not syncing: sysrq triggered crash" in text
    return status, text


@pytest.mark.parametrize("words", ["panic=-1", "panic=1"], ids=["panic-resets-at-once", "panic-resets-after-a-while"])
def test_reset(machine, tmp_path, words):
    """With panic= and `control` the machine resets, as natively; not 0: at once or after so many seconds."""
    status, text = panic(machine, tmp_path, words)
    assert status == RESET
    assert "linux: crashed" not in text
    assert ("Rebooting in 1 seconds" in text) == (words == "panic=1")


def test_panic_without_timeout_is_a_crash(machine, tmp_path):
    """panic=0: the partition has crashed, for others to see."""
    status, text = panic(machine, tmp_path, "panic=0")
    assert status != RESET
    assert re.search(r"\[keel\] linux: crashed: ", text)


def test_panic_without_control_is_a_crash(machine, tmp_path):
    """Without `control` a reset is not Linux's to ask for: it has crashed, whatever panic= says."""
    status, text = panic(machine, tmp_path, "panic=-1", LINUX.replace(" control;", ""))
    assert status != RESET
    assert re.search(r"\[keel\] linux: crashed: ", text)


def test_peers_outlive_control_and_no_longer(machine, tmp_path):
    """Who works goes on after Linux panicked; when the one that is left waits for ever, the machine ends."""
    status, text = panic(machine, tmp_path, "panic=0", peers=PEERS)
    after = text.split("[keel] linux: crashed: ")[1]
    assert "[keel] worker: exited: status 0" in after
    assert "nobody with control is left, and who is left waits for ever: stopping" in after
    assert status == CRASHED


@pytest.mark.parametrize("end, status", [("poweroff", CRASHED), ("restart", RESET)],
                         ids=["lost-control-powers-off", "lost-control-restarts"])
def test_lost_control(machine, tmp_path, end, status):
    """on-control-lost: the machine ends at once, though somebody works."""
    got, text = panic(machine, tmp_path, "panic=0", peers=PEERS, end=end)
    assert f"nobody with control is left: {'power off' if end == 'poweroff' else end}" in text
    assert "worker: exited" not in text
    assert got == status
