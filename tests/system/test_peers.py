# SPDX-License-Identifier: MIT
"""Hostile partitions with several vCPUs (tests/guest/hostile): each vCPU runs the whole program on a slice of the
memory, so every check is made from all of them at once; then what they can do to each other: start, stop, interrupts,
shoot-downs, offers of memory that another one walks, random hypercalls, faults and restarts.
"""
import re

import pytest
from conftest import BUILD, FULL
from systems import log_text, make_bundle, system
from test_security import DEBUG, GUEST, NCHECKS, SOURCES, no_failure

pytestmark = [pytest.mark.group("peers"), pytest.mark.own_cpus]

NSMP = len(re.findall(r"^\t\{ \"[\w-]+\", check_\w+ \}",
                      (SOURCES / "main.c").read_text().split("smp_checks")[1].split("};")[0], re.M))
SLICE = 0x280000
TIMEOUT = 3600 if FULL else 900	# 4 CPUs on 2 of a busy host are slow


def hostile(name, cmdline, vcpus=1, memory=SLICE, more="", priority=8):
    return f"""		{name} {{
			kind = "test"; image = "hostile.elf"; memory = /bits/ 64 <{vcpus * memory:#x}>; priority = <{priority}>;
			shadow-pages = <64>; cmdline = "{cmdline}"; vcpus = <{vcpus}>; {more}
		}};
"""


WATCH = hostile("watch", f"watch={TIMEOUT}", memory=0x80000, more="control;", priority=9)


def channels(server, client, count):
    return "".join(f'\t\tw{n} {{ server = "{server}"; client = "{client}"; window = /bits/ 64 <0x10000>; }};\n'
                   for n in range(count))


def run(machine, folder, cpus, partitions, windows="", *options, linux="", timeout=TIMEOUT):
    """Boot these partitions and let them end -> (exit status, serial output)."""
    bundle = make_bundle(folder, system(partitions, windows, linux=linux), {"hostile.elf": GUEST / "hostile.elf"},
                         initramfs="initramfs-test.cpio.gz")
    keel = machine("--bundle", bundle, "--cpus", str(cpus), *options, timeout=timeout)
    status = keel.wait_exit(timeout)
    return status, log_text(keel)


def sizes(what, *builds):
    """WHAT-2-vcpus, ... on as many CPUs; also with more vCPUs than CPUs."""
    return pytest.mark.parametrize("cpus, vcpus, debug", [
        pytest.param(cpus, vcpus, build == "debug", id=f"{what}-{vcpus}-vcpus-{cpus}-cpus" + ("-debug" if build == "debug" else ""),
                     marks=[pytest.mark.full] if cpus > 2 or (build == "debug" and vcpus > 2) else [])
        for build in builds for cpus, vcpus in ((2, 2), (2, 4), (4, 4))])


def kernel(debug):
    return ["--kernel", str(DEBUG)] if debug else []


@pytest.mark.limit(TIMEOUT + 30)
@sizes("checks", "plain", "debug")
def test_checks_at_once(machine, tmp_path, cpus, vcpus, debug):
    """Every check that a partition survives, from all its vCPUs at once."""
    marker = hostile("marker", "marker", memory=0x80000)
    status, text = run(machine, tmp_path, cpus, WATCH + hostile("checks", "checks clones", vcpus) + marker,
                       channels("checks", "watch", vcpus), *kernel(debug))
    no_failure(status, text)
    assert f"] HOSTILE done {vcpus * NCHECKS} ok, 0 failed" in text


@pytest.mark.limit(TIMEOUT + 30)
@sizes("between-vcpus", "plain")
def test_between_vcpus(machine, tmp_path, cpus, vcpus, debug):
    """Starts and stops, interrupts, wake-ups, shoot-downs and offers against each other."""
    status, text = run(machine, tmp_path, cpus, WATCH + hostile("smp", f"{'long' if FULL else ''} clones smp", vcpus), channels("smp", "watch", 8),
                       *kernel(debug))
    no_failure(status, text)
    assert f"HOSTILE done {vcpus * NSMP + 1} ok, 0 failed" in text


@pytest.mark.limit(TIMEOUT + 30)
@sizes("random-hypercalls", "plain")
def test_random_hypercalls(machine, tmp_path, cpus, vcpus, debug):
    """200,000 (in the full run 2,000,000) random hypercalls from all vCPUs of two partitions."""
    count = (2000000 if FULL and not debug else 200000) // 2 // vcpus
    parts = "".join(hostile(f"fuzz-{n}", f"fuzz={n},{count} clones", vcpus, memory=0x180000) for n in (1, 2))
    status, text = run(machine, tmp_path, cpus, WATCH + parts + hostile("marker", "marker", memory=0x80000),
                       channels("fuzz-1", "fuzz-2", 1), *kernel(debug))
    no_failure(status, text)
    assert text.count(f"] HOSTILE done {vcpus} ok, 0 failed") == 2


@pytest.mark.limit(330)
@pytest.mark.parametrize("what, said", [
    pytest.param(1, "FAIL the flush does not come back", id="omitted-call"),
    pytest.param(2, "panic: smp: vCPU 1 runs on CPU", id="omitted-wait"),
])
def test_omitted(machine, tmp_path, what, said):
    """A shoot-down that does not call, or does not wait: noticed by the program, or by the metakernel's checks."""
    _, text = run(machine, tmp_path, 2, hostile("smp", f"omitted={what} clones", 2), "", "--kernel", str(DEBUG), timeout=300)
    assert said in text


@pytest.mark.parametrize("what", [pytest.param(19, id="stack-of-another"), pytest.param(20, id="table-of-another")])
def test_planted(machine, tmp_path, what):
    """The stack page, or a table, of another vCPU in the tables of this one is a panic of the checker."""
    status, text = run(machine, tmp_path, 2, hostile("smp", f"debug={what}", 2), "", "--kernel", str(DEBUG), timeout=120)
    assert "panic: smp: shadow entry" in text and status == 122


@pytest.mark.limit(TIMEOUT + 30)
@sizes("restarts", "plain", "debug")
def test_restarts(machine, tmp_path, cpus, vcpus, debug):
    """Half of the restarts find the partition ended by a fault of its last vCPU, half find all its vCPUs at work."""
    count = 200 if cpus == 2 or FULL else 20
    boss = hostile("boss", f"restarts={count}", memory=0x80000, more="control;", priority=9)
    status, text = run(machine, tmp_path, cpus, boss + hostile("smp", "die clones", vcpus), "", *kernel(debug))
    no_failure(status, text)
    assert f"HOSTILE restarts ok {count}, " in text and "state 6" in text


CALLS = 5000000 if FULL else 40000


@pytest.mark.limit(4 * TIMEOUT if FULL else TIMEOUT)
@pytest.mark.parametrize("cpus, debug", [
    pytest.param(1, False, id="made-at-run-time-1-cpu"),
    pytest.param(2, False, id="made-at-run-time-2-cpus"),
    pytest.param(2, True, id="made-at-run-time-2-cpus-debug"),
])
def test_made_at_run_time(machine, tmp_path, cpus, debug):
    """40,000 (in the full run 5,000,000) random hypercalls of partitions that are made, started, ended and taken apart
    meanwhile by one that makes random calls of the same kind between; beside them one of the manifest's that does, too."""
    boss = hostile("boss", f"makes={CALLS}", memory=0x300000, more="control;")
    fuzz = hostile("fuzz", f"fuzz=7,{CALLS // 4} clones", 2, memory=0x180000)
    status, text = run(machine, tmp_path, cpus, boss + fuzz, channels("boss", "fuzz", 1), *kernel(debug),
                       timeout=4 * TIMEOUT if FULL else TIMEOUT)
    no_failure(status, text)
    made, calls = map(int, re.search(r"HOSTILE makes ok: (\d+) partitions, (\d+) calls", text).groups())
    assert calls >= CALLS and made > 2


@pytest.mark.limit(TIMEOUT + 30)
def test_linux_beside_a_fuzzer(machine, tmp_path):
    """A Linux on both CPUs checks its memory beside a partition whose vCPUs make random hypercalls on both, too."""
    fuzz = hostile("fuzz", "fuzz=3,100000 clones", 2, memory=0x180000)
    windows = '\t\tw { server = "linux"; client = "fuzz"; window = /bits/ 64 <0x10000>; };\n'
    bundle = make_bundle(tmp_path, system(fuzz, windows), {"hostile.elf": GUEST / "hostile.elf"},
                         initramfs="initramfs-test.cpio.gz")
    linux = machine("--bundle", bundle, "--cpus", "2", timeout=TIMEOUT)
    linux.wait_prompt(300)
    linux.send("n=0; until keelctl ps | grep -q exited; do STRESS_SECONDS=5 /stress/map_storm >/tmp/out || break;"
               " n=$((n+1)); done; keelctl ps | grep -q exited; echo \"@\"ended $? after $n\r")
    found = linux.expect(r"@ended (\d) after (\d+)", TIMEOUT)
    linux.send("exit 7\r")
    assert linux.wait_exit() == 7
    text = log_text(linux)
    assert found.group(1) == "0"
    assert not re.findall(r"HOSTILE .* FAIL.*", text)
    assert "HOSTILE done 2 ok, 0 failed" in text


@pytest.mark.limit(TIMEOUT + 30)
def test_linux_ends_a_fuzzer(machine, tmp_path):
    """Linux destroys and restarts a partition while all its vCPUs make hypercalls."""
    rounds = 200 if FULL else 20
    fuzz = hostile("fuzz", "fuzz=3,100000000 clones", 2, memory=0x180000)
    bundle = make_bundle(tmp_path, system(fuzz), {"hostile.elf": GUEST / "hostile.elf"}, initramfs="initramfs-test.cpio.gz")
    linux = machine("--bundle", bundle, "--cpus", "2", timeout=TIMEOUT)
    linux.wait_prompt(300)
    linux.send(f"for i in $(seq {rounds}); do keelctl restart fuzz >/dev/null || break; [ $((i%3)) = 0 ] &&"
               " { keelctl stop fuzz || break; }; done; echo \"@\"made $i\r")
    assert linux.expect(r"@made (\d+)\r", TIMEOUT).group(1) == str(rounds)
    linux.send("exit 7\r")
    assert linux.wait_exit() == 7
    assert "[keel] panic" not in log_text(linux)
