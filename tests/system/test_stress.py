# SPDX-License-Identifier: MIT
"""Runs the stress programs (tests/stress/) and Linux's x86 selftests, natively and on Keel.

A stress program must pass both ways; a selftest must end the same way on Keel as natively (some do
not pass on an emulated CPU either). One boot of each kind runs many programs; when a machine dies,
the program that killed it has failed and the others go on in a new one.

With several CPUs the programs that need them (smp_*) come in; natively only they do, but in the full run.
"""
import re
import subprocess

import pexpect
import pytest
from conftest import CPUS, FULL, LOGS, TOP, Machine
from systems import KINDS

NEED_MORE = ["disk_keeps_files", "swap_keeps_content", "smp_irqs", "smp_nmi"]		# a disk, an address
STRESS = [f"/stress/{p.stem}" for p in sorted((TOP / "tests/stress").glob("*.c"))
          if p.stem not in NEED_MORE and (CPUS > 1 or not p.stem.startswith("smp_"))]
# One program that says how Linux natively answers each fault: compared with also where others do not run natively.
FAULTS = "/stress/faults_as_native"
SELFTESTS = ["/selftests/" + name for name in """sigreturn syscall_arg_fault syscall_nt sysret_rip sysret_ss_attrs
    single_step_syscall sigtrap_loop fsgsbase fsgsbase_restore test_vsyscall check_initial_reg_state
    corrupt_xstate_header nx_stack sigaltstack test_mremap_vdso ptrace_syscall syscall_numbering mov_ss_trap""".split()]
# QEMU's far returns from ring 3 read the stack with supervisor rights, which SMAP then refuses.
SELFTEST_OPTIONS = ["--cpu", "max,smap=off"]
PROGRAM_SECONDS = 400
LONG = "PARTS_ROUNDS=500" if FULL else ""
MACHINE_SECONDS = 1200
NO_STATUS = "the machine ended while it ran"
outcomes = {}


def run_programs(kind, what, programs, options=()):
    """-> {program: (status or NO_STATUS, output)} for all programs, in as many boots as it takes."""
    if (kind, what) in outcomes:
        return outcomes[kind, what]
    LOGS.mkdir(parents=True, exist_ok=True)
    results, left, boot, boots_lost = {}, list(programs), 0, 0
    while left:
        boot += 1
        log = LOGS / f"{what}-{kind}{'' if boot == 1 else f'-boot{boot}'}.log"
        words = f'quiet {LONG} keel.run=/stress/run keel.args="{PROGRAM_SECONDS} {" ".join(left)}"'
        linux = Machine(log, [*KINDS[kind], *options], words, MACHINE_SECONDS)
        try:
            linux.wait_exit()
        except pexpect.ExceptionPexpect:
            linux.stop()
        text = log.read_text(errors="replace").replace("\r", "")
        for m in re.finditer(r"STRESS-RUN (\S+) starts\n(.*?)STRESS-RUN \1 (\d+)\n", text, re.S):
            results[m.group(1)] = int(m.group(3)), m.group(2)
        left = [p for p in left if p not in results]
        assert f"STRESS-RUN on {CPUS} CPUs\n" in text or not results, "not as many CPUs as the machine has"
        if left and "STRESS-RUN " not in text:		# not any program's doing
            boots_lost += 1
            assert boots_lost < 3, f"Linux does not start:\n{text[-3000:]}"
            continue
        if left:
            begun = text.rpartition(f"STRESS-RUN {left[0]} starts")[2]
            results[left.pop(0)] = NO_STATUS, begun[-3000:]
    outcomes[kind, what] = results
    return results


def programs_of(kind, programs):
    if kind != "native" or CPUS == 1 or FULL:
        return programs
    return [p for p in programs if "/smp_" in p or not p.startswith("/stress/")]


def cases(group, programs):
    """Native runs first: what they show is not Keel's doing."""
    return [pytest.param(kind, p, id=f"{kind}-{p.rpartition('/')[2]}", marks=pytest.mark.group(group))
            for kind in KINDS for p in programs_of(kind, programs)]


def check_passed(result):
    status, output = result
    if status == 77:
        pytest.skip(output.strip().splitlines()[-1])
    assert status == 0, f"status {status}:\n{output}"


def fault_lines(output):
    return [line for line in output.splitlines() if line.startswith("FAULT ")]


@pytest.mark.limit(3 * MACHINE_SECONDS)
@pytest.mark.parametrize("kind, program", cases("stress", STRESS))
def test_stress(kind, program):
    result = run_programs(kind, "stress", programs_of(kind, STRESS))[program]
    check_passed(result)
    if program == FAULTS and kind != "native":
        native = fault_lines(run_programs("native", "faults", [FAULTS])[FAULTS][1])
        assert native and fault_lines(result[1]) == native


@pytest.mark.limit(3 * MACHINE_SECONDS)
@pytest.mark.parametrize("kind, program", cases("selftest", SELFTESTS))
def test_selftest(kind, program):
    """Linux's own tests of entry and exit code. Natively: it ends. On Keel: in the same way."""
    status, output = run_programs(kind, "selftest", SELFTESTS, SELFTEST_OPTIONS)[program]
    assert status != NO_STATUS, output
    if kind != "native":
        native = run_programs("native", "selftest", SELFTESTS, SELFTEST_OPTIONS)[program]
        assert status == native[0], f"status {status}, natively {native[0]}:\n{output}\n--- natively:\n{native[1]}"


@pytest.fixture
def large_disk(tmp_path):
    """An empty ext4 disk of 200 MB."""
    image = tmp_path / "stress.img"
    subprocess.run(["/sbin/mke2fs", "-q", "-t", "ext4", image, "200M"], check=True)
    yield image
    image.unlink()


def fnv(data):
    value = 0xcbf29ce484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001b3 & 0xffffffffffffffff
    return f"{value:016x}"


@pytest.mark.limit(MACHINE_SECONDS)
@pytest.mark.parametrize("kind, program", cases("stress", ["/stress/disk_keeps_files"]))
def test_disk(kind, program, large_disk, tmp_path):
    """After power-off e2fsck finds nothing, and the files' contents are those Linux had listed."""
    check_passed(run_programs(kind, "disk", [program], ["--disk", str(large_disk)])[program])
    checked = subprocess.run(["/sbin/e2fsck", "-fn", large_disk], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout
    subprocess.run(["/sbin/debugfs", "-R", f"rdump / {tmp_path}", large_disk], capture_output=True, check=True)
    files = [line.split() for line in (tmp_path / "LIST").read_text().splitlines()]
    assert len(files) == len(list((tmp_path / "stress").iterdir())) > 0
    for digest, size, name in files:
        data = (tmp_path / "stress" / name).read_bytes()
        assert len(data) == int(size), name
        assert fnv(data) == digest, name


@pytest.mark.limit(MACHINE_SECONDS)
@pytest.mark.parametrize("kind, program", cases("stress", ["/stress/swap_keeps_content"]))
def test_swap(kind, program, large_disk):
    """A machine with too little memory for what it does, so that swap decides about the contents."""
    check_passed(run_programs(kind, "swap", [program], ["--disk", str(large_disk), "--mem", "192M"])[program])


# ---- Linux under other conditions ------------------------------------------------------------------

def check_on_keel(machine, bundle, dts, programs, files=None):
    """Boot this manifest, run the programs, all must pass -> the serial output."""
    linux = machine("--bundle", bundle(dts, files), timeout=MACHINE_SECONDS,
                    append=f'quiet keel.run=/stress/run keel.args="{PROGRAM_SECONDS} {" ".join(programs)}"')
    status = linux.wait_exit()
    text = linux.log.read_text(errors="replace").replace("\r", "")
    assert re.findall(r"STRESS-RUN (\S+) 0\n", text) == programs, text[-3000:]
    assert status == 0
    return text


@pytest.mark.group("stress")
@pytest.mark.limit(MACHINE_SECONDS)
def test_keel_with_few_shadow_pages(machine, bundle):
    """Shadows may be thrown away at any time: with the smallest pool that happens all the time."""
    dts = (TOP / "images/linux-only.dts").read_text()
    small = re.sub(r"shadow-pages = <\d+>", "shadow-pages = <64>", dts)
    assert small != dts
    check_on_keel(machine, bundle, small, [f"/stress/{name}" for name in (
        "cow_isolates", "map_storm", "wide_tables", "many_processes", "huge_pages", "threads", "code_changes")])


BUSY_PEER = """
		%s {
			kind = "unikernel"; image = "lua.elf"; memory = /bits/ 64 <0x200000>; priority = <8>;
			shadow-pages = <64>; cmdline = "lua /boot/busy.lua"; modules = "busy.lua";
		};
"""
# Floating point on purpose: its registers are switched with the partition.
BUSY_SCRIPT = """
local function work(x)
	for i = 1, 200000 do x = x * 1.0000001 + i % 7 / 3; if x > 1e9 then x = x / 3 end end
	return x
end
local want = work(1.5)
print('busy')
while true do if work(1.5) ~= want then print('a number changed') end end
"""


@pytest.mark.group("stress")
@pytest.mark.limit(MACHINE_SECONDS)
def test_keel_beside_busy_peers(machine, bundle, tmp_path):
    """Two peers compute all the time: registers and time are Linux's own, and the peers' their own."""
    script = tmp_path / "busy.lua"
    script.write_text(BUSY_SCRIPT)
    head, end = (TOP / "images/linux-only.dts").read_text().rsplit("\t};\n};", 1)
    dts = head + BUSY_PEER % "a" + BUSY_PEER % "b" + "\t};\n};" + end
    text = check_on_keel(machine, bundle, dts, [f"/stress/{name}" for name in (
        "fpu_state", "segment_bases", "signals", "faults_as_native")], {"busy.lua": script})
    assert text.count("busy") >= 2 and "a number changed" not in text
