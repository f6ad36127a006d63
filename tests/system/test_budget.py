# SPDX-License-Identifier: MIT
"""Time is owned: a partition with a budget gets it when it is due, and never more.

QEMU counts instructions (--icount): its clock, and with it the TSC, goes on by a nanosecond with each, so that runs
repeat and say nothing of this host. Failure looks like a deadline missed, a Linux that gets less done beside
hostile peers than their budgets leave it, or a manifest that promises more time than there is.
"""
import json
import re
import subprocess

import pytest
from conftest import BUILD, FULL, TOP
from systems import channel, log_text, make_bundle, partition, system, wait_said
from test_peers import WATCH, channels, hostile, kernel, run
from test_security import no_failure

pytestmark = [pytest.mark.group("budget"), pytest.mark.own_cpus]

PEER = {"peer.elf": BUILD / "tests" / "peer" / "peer.elf"}
SHARE_MS = 500


def peer(name, cmdline, priority, budget, more=""):
    return partition(name, "peer.elf", 512 << 10, cmdline=cmdline, priority=priority,
                     more=f"budget = <{budget}>; {more}")


def counted(machine, folder, partitions, channels="", *options, timeout=600):
    """A machine with these partitions beside Linux, at its prompt, on QEMU's clock of instructions."""
    made = make_bundle(folder, system(partitions, channels), PEER, initramfs="initramfs-test.cpio.gz")
    linux = machine("--icount", "--bundle", made, "--cpus", "1", *options, timeout=timeout)
    linux.wait_prompt(timeout / 2)
    return linux


@pytest.mark.limit(630)
def test_hostile_peers_take_their_budgets_and_no_more(machine, tmp_path):
    """Two peers above Linux, 2 % each, burn and ring doorbells: Linux keeps 95 % of what it does without them."""
    names = ("burn-a", "burn-b")
    linux = counted(machine, tmp_path, "".join(peer(name, "burn", 12, "200 10000") for name in names),
                    "".join(map(channel, names)))
    rounds = []
    for stop in (False, True):
        if stop:
            linux.shell("keelctl stop burn-a; keelctl stop burn-b")
        rounds.append(int(re.search(r"SHARE (\d+)", linux.shell(f"/time/share {SHARE_MS}", 300)).group(1)))
    print(f"rounds in {SHARE_MS} ms: {rounds[0]} beside them, {rounds[1]} alone: {rounds[0] / rounds[1]:.4f}")
    assert 0.95 <= rounds[0] / rounds[1] < 0.97		# they did have theirs
    linux.send("exit 3\r")
    assert linux.wait_exit() == 3


STRESSORS = ("cpu", "vm", "fork", "pipe", "switch", "fault", "timer")


def start_stress(linux):
    """Debian's stress-ng, on the disk: computing, memory, processes, faults, timers, until it is told to stop."""
    linux.shell("for d in sys dev; do mount --bind /$d /mnt/$d; done; mount -t proc none /mnt/proc; mount -t tmpfs none /mnt/tmp")
    assert linux.status == 0
    linux.shell("chroot /mnt /usr/bin/stress-ng --temp-path /tmp --metrics-brief --timeout 0 --vm-bytes 16M " +
                " ".join(f"--{name} 1" for name in STRESSORS) + " >/tmp/stress 2>&1 & echo $! >/tmp/stress.pid; until grep dispatching /tmp/stress; do usleep 10000; done")
    assert linux.status == 0


def stop_stress(linux):
    """-> {stressor: how much it did}"""
    linux.shell("kill -INT $(cat /tmp/stress.pid); wait", 120)
    text = linux.shell("cat /tmp/stress")
    print(text)
    return {name: int(ops) for name, ops in re.findall(r"metrc: \[\d+\] (\w+) +(\d+) ", text)}


def steady(machine, folder, word):
    """-> how it did while Linux booted and under load"""
    timeout = 1800 if FULL else 600
    disk = folder / "stress.img"
    subprocess.run([TOP / "scripts/mkprogdisk", "-o", disk, "stress-ng"], check=True)
    linux = counted(machine, folder, peer("steady", word, 12, "200 1000"), "", "--disk", str(disk), timeout=timeout)
    # by itself it began while Linux booted, which is a load of its own kind
    assert wait_said(linux, r"peer: steady \d+ missed", timeout=900)
    start_stress(linux)
    linux.shell("keelctl restart steady", 120)
    assert wait_said(linux, r"peer: steady \d+ missed", 2, timeout=1500 if FULL else 500)
    done = stop_stress(linux)
    assert all(done.get(name) for name in STRESSORS)
    text = log_text(linux)
    print("\n".join(re.findall(r"peer: (?:done|steady).*", text)))
    return re.findall(r"peer: steady (\d+) missed (\d+) longest (\d+) us", text)


@pytest.mark.limit(630)
def test_a_deadline_every_millisecond(machine, tmp_path):
    """160 us of work every ms, with 200 us a ms, while Linux boots and under stress-ng: all are done before the next is due."""
    runs = steady(machine, tmp_path, "steady")
    assert [(periods, missed) for periods, missed, _ in runs] == [("1000", "0")] * 2


@pytest.mark.full
@pytest.mark.limit(1830)
def test_ten_thousand_deadlines(machine, tmp_path):
    """The same ten thousand times."""
    runs = steady(machine, tmp_path, "steady-long")
    assert [(periods, missed) for periods, missed, _ in runs] == [("10000", "0")] * 2


def test_budgets_change_while_it_runs(machine, tmp_path):
    """A partition of the user's own, above Linux, that burns gets another budget, and another: what it uses of half a second follows."""
    linux = counted(machine, tmp_path, "")

    linux.shell("keelctl run -d --prio 12 --budget 2ms/10ms --name burn lua -e 'while true do end'", 60)
    assert linux.status == 0
    shares = {}
    for budget in ("1ms/10ms", "3ms/10ms"):
        linux.shell(f"keelctl budget burn {budget}", 60)
        assert linux.status == 0
        said = linux.shell(f"keelctl ps --json; /time/share {SHARE_MS}; keelctl ps --json", 300)
        first, last = (next(p["cpu_ns"] for p in json.loads(text)["partitions"] if p["name"] == "burn")
                       for text in re.split(r"^SHARE.*$", said, flags=re.M))
        shares[budget] = (last - first) / (SHARE_MS * 1000000)
    print(shares)
    # a period more or less at the ends, and keelctl itself
    assert 0.095 < shares["1ms/10ms"] < 0.11 and 0.285 < shares["3ms/10ms"] < 0.33
    for text, why in (("960ms/1s", "the CPUs have not so much left"), ("none", "its priority would be above Linux's"), ("1ms", "expected `none`"), ("2us/1ms", "expected `none`")):
        assert why in linux.shell(f"keelctl budget burn {text} 2>&1", 60) and linux.status == 1
    assert "no such partition" in linux.shell("keelctl budget nobody none 2>&1", 60) and linux.status == 1
    linux.send("exit 3\r")
    assert linux.wait_exit() == 3


@pytest.mark.limit(630)
def test_hostile_vcpus_with_budgets(machine, tmp_path):
    """Random hypercalls from the vCPUs of two partitions that use their budgets up all the time, on two CPUs, one that moves and one
    that stays, with the metakernel's checks on."""
    count = 100000 if FULL else 15000
    parts = (hostile("fuzz-1", f"fuzz=1,{count} clones", 2, memory=0x180000, more="budget = <300 1000>;") +
             hostile("fuzz-2", f"fuzz=2,{count} clones", 2, memory=0x180000, more="budget = <50 100>; cpus = <0 1>;"))
    status, text = run(machine, tmp_path, 2, WATCH + parts + hostile("marker", "marker", memory=0x80000),
                       channels("fuzz-1", "fuzz-2", 1), *kernel(True), timeout=600)
    no_failure(status, text)
    assert text.count("] HOSTILE done 2 ok, 0 failed") == 2


@pytest.mark.limit(630)
def test_restarts_while_it_waits_for_its_budget(machine, tmp_path):
    """Ended and started again in any state of its budget, by faults and by one with control."""
    boss = hostile("boss", "restarts=200", memory=0x80000, more="control;", priority=9)
    status, text = run(machine, tmp_path, 2, boss + hostile("smp", "die clones", 2, more="budget = <10 100>;"), "", *kernel(True),
                       timeout=600)
    no_failure(status, text)
    assert "HOSTILE restarts ok 200, " in text and "state 6" in text


def test_more_than_there_is_is_refused(machine, tmp_path):
    """48 % twice on one CPU, of which 95 % are to be had."""
    made = make_bundle(tmp_path, system(peer("first", "spin", 1, "480 1000") + peer("second", "spin", 1, "480 1000")), PEER)
    keel = machine("--bundle", made, "--cpus", "1", timeout=60)
    assert keel.wait_exit() == 120
    assert "refused: /partitions/second: budget: with those before it more than the CPUs have" in log_text(keel)
