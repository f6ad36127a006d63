# SPDX-License-Identifier: MIT
"""A large peer is restarted in pieces: interrupts, events and other partitions come in between, and whoever ends
meanwhile leaves something that can be restarted again.

Failure looks like ticks that are missing for the time of the restart, a peer that is not ready after it, a caller that
never comes back, or a machine that does not end.
"""
import re

import pytest
from conftest import BUILD
from systems import MIB, log_text, make_bundle, partition, system, wait_said

pytestmark = [pytest.mark.group("restart"), pytest.mark.limit(280)]

PEER = BUILD / "tests" / "peer" / "peer.elf"
READY = r"\[big\] peer: ready spin"
COUNT = """#!/bin/sh
count() { keelctl stats $1 | sed -n "s/.*\\<$2[ =]*\\([0-9][0-9]*\\).*/\\1/p"; }
ticks() { awk '/PLT/ { for (i = 2; $i ~ /^[0-9]+$/; i++) n += $i } END { print n }' /proc/interrupts; }
before=$(count tick block); ticks=$(ticks)
keelctl restart big; echo "STATUS $?"
echo "TICKS $(($(count tick block) - before)) $(($(ticks) - ticks))"
"""


def peers(folder, *parts):
    return make_bundle(folder, system("".join(parts)), {"peer.elf": PEER}, {"count": COUNT})


def big(memory, priority=7):
    return partition("big", "peer.elf", memory, cmdline="spin", priority=priority)


def test_ticks_arrive(machine, tmp_path):
    """While a peer of 1 GiB restarts, a peer that wakes every 0.1 ms goes on doing so. Counted by instructions: the
    memory's clearing alone is 134 million, 134 ms, and 1,340 ticks; all around it are a few dozen."""
    made = peers(tmp_path, big(1024 * MIB), partition("tick", "peer.elf", MIB, cmdline="tick", priority=9))
    linux = machine("--icount", "--cpu", "max,smap=off,erms=off", "--mem", "1536M", "--bundle", made,
                    append="quiet norandmaps keel.run=/count", timeout=270)
    assert linux.wait_exit() == 0
    text = log_text(linux)
    assert "STATUS 0" in text
    blocks, ticks = map(int, re.search(r"TICKS (\d+) (\d+)", text).groups())
    assert blocks > 1200, text[-2000:]
    assert ticks > 10, text[-2000:]


def test_nobody_is_in_the_way(machine, tmp_path):
    """A partition restarts another for ever; Linux ends and restarts that too, ends the caller in the middle
    of its call, and then the peer starts as ever."""
    restarter = partition("again", "peer.elf", MIB, cmdline="again", priority=8, more="control;")
    linux = machine("--bundle", peers(tmp_path, big(64 * MIB), restarter), "--mem", "512M")
    linux.wait_prompt()
    for command in ["stop", "restart"] * 4:
        linux.shell(f"keelctl {command} big")
        assert linux.status == 0, command
    linux.shell("keelctl stop again")
    linux.shell("keelctl stop big")
    seen = len(re.findall(READY, log_text(linux)))
    linux.shell("keelctl restart big")
    assert linux.status == 0
    assert wait_said(linux, READY, seen + 1), log_text(linux)[-2000:]
    assert re.search(r"^big +(running|blocked)", linux.shell("keelctl ps"), re.M)
    assert "not again" not in log_text(linux)
    linux.send("exit 3\r")
    assert linux.wait_exit() == 3


def test_devices_lose_the_bus_first(machine, tmp_path):
    """Who held the devices comes back only when they cannot write to its memory any more."""
    holder = partition("big", "peer.elf", MIB, cmdline="spin", more="devices;").replace('"unikernel"', '"test"')
    restarter = partition("again", "peer.elf", MIB, cmdline="again", more="control;")
    made = make_bundle(tmp_path, system(holder + restarter, linux=""), {"peer.elf": PEER})
    keel = machine("--bundle", made, "--mem", "128M")
    for _ in range(4):
        keel.expect("big: destroyed: restarted")
    events = re.findall(r"big: (destroyed: restarted|bus mastering of \d+ functions is off)", log_text(keel))
    assert [event.split()[0] for event in events[:7]] == ["destroyed:", "bus"] * 3 + ["destroyed:"]
