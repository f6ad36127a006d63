# SPDX-License-Identifier: MIT
"""A hostile partition (tests/guest/hostile) attacks the metakernel and its neighbours, and is refused.

Each rule that design of the entry code, the shadow MMU and the hypercalls rests on is attacked by at
least one check; docs/security.md has the table. Failure shows as a FAIL line of the partition, a panic
of the metakernel, or a neighbour that ends.
"""
import re
import shutil
import subprocess

import pytest
from conftest import BUILD, IMAGES, LOGS, TOP
from systems import LINUX, make_bundle, system

pytestmark = pytest.mark.group("security")

GUEST = BUILD / "tests" / "guest"
DEBUG = GUEST / "keel-debug.elf"
SOURCES = TOP / "tests" / "guest" / "hostile"
ATTACKS = sorted(p.stem for p in SOURCES.glob("hostile-attacks*.dts"))
OWN_FAULTS = sorted(p.stem for p in SOURCES.glob("hostile-panic*.dts"))
NCHECKS = len(re.findall(r"^\t\{ \"[\w-]+\", check_\w+, \w+ \}", (SOURCES / "main.c").read_text(), re.M))
NDEVICE_CHECKS = len(re.findall(r"^\t\{ \"[\w-]+\", check_\w+ \}",
                                (SOURCES / "main.c").read_text().split("device_checks[]")[1].split("};")[0], re.M))
CHIPSETS = ["pc", "q35"]
MODELS = ["max", "EPYC", "Skylake-Client"]
TIMEOUT = 600


def on_chipsets(name):
    return pytest.mark.parametrize("chipset", CHIPSETS, ids=[f"{name}-{c}" for c in CHIPSETS])


def run(machine, bundle, *options, timeout=TIMEOUT):
    """Boot a bundle and let it end -> (exit status, serial output)."""
    keel = machine("--bundle", str(GUEST / f"{bundle}.bundle"), *options, timeout=timeout)
    status = keel.wait_exit(timeout)
    return status, keel.log.read_text(errors="replace").replace("\r", "")


def no_failure(status, text):
    failed = re.findall(r"HOSTILE .* FAIL.*", text)
    assert not failed, failed
    assert "[keel] panic" not in text
    assert status == 0


@pytest.mark.limit(TIMEOUT + 30)
@pytest.mark.parametrize("cpu", MODELS)
def test_attacks_are_refused(machine, cpu):
    """Every check that a partition survives: it got nothing, and the neighbour kept its registers."""
    status, text = run(machine, "hostile-checks", "--cpu", cpu)
    no_failure(status, text)
    assert f"HOSTILE done {NCHECKS} ok, 0 failed" in text
    assert text.count("checks: breakpoint at 0xffffffffffe01000 not armed:") == 1


@pytest.mark.parametrize("boot", ATTACKS)
@pytest.mark.limit(330)
def test_fault_ends_only_its_partition(machine, boot):
    """Seven partitions, each ended by one attack, with the right reason; the others run on."""
    status, text = run(machine, boot, timeout=300)
    no_failure(status, text)
    assert re.search(r"HOSTILE done [1-9]\d* ok, 0 failed", text)


@pytest.mark.limit(330)
@on_chipsets("device_registers")
def test_device_registers(machine, chipset):
    """A partition that holds the devices: no APIC, HPET or flash; IOAPIC entries, configuration space and
    ports arrive checked, stores to what it may only read are dropped, nothing puts the machine to sleep."""
    status, text = run(machine, "hostile-devices", "--kernel", str(DEBUG), "--", "-machine", chipset, "-device", "edu",
                       timeout=300)
    no_failure(status, text)
    assert f"[devices] HOSTILE done {NDEVICE_CHECKS} ok, 0 failed" in text
    assert "would put the machine to sleep: not passed on" in text
    assert len(re.findall(r"vector 0x51 storms: line \d+ of IOAPIC 0 masked for a second", text)) == 1
    assert len(re.findall(r"vector 0x61 storms by message: up to 0x6f all wait for a second", text)) == 1


@pytest.mark.limit(630)
@on_chipsets("random_device_writes")
def test_random_device_writes(machine, chipset):
    """200,000 random writes to ports and configuration space: the machine neither sleeps nor resets, and
    the metakernel's text, constants and tables are as they were."""
    status, text = run(machine, "hostile-devfuzz", "--kernel", str(DEBUG), "--", "-machine", chipset)
    no_failure(status, text)
    assert "HOSTILE devfuzz ok" in text


@pytest.mark.limit(630)
@on_chipsets("random_device_writes_of_linux")
def test_random_device_writes_of_linux(machine, tmp_path, chipset):
    """The same by root in a Linux that does not have the control right; who has it sees all well after."""
    linux = LINUX.replace("control;", "")
    watch = """		watch { kind = "test"; image = "hostile.elf"; memory = /bits/ 64 <0x80000>; priority = <9>;
			shadow-pages = <64>; cmdline = "watch=900"; control; };
"""
    files = {"hostile.elf": GUEST / "hostile.elf"}
    bundle = make_bundle(tmp_path, system(watch, linux=linux), files, initramfs="initramfs-test.cpio.gz")
    keel = machine("--bundle", bundle, "--kernel", str(DEBUG), "--append",
                   "quiet keel.run=/devices/device_writes keel.args=200000", "--", "-machine", chipset, timeout=TIMEOUT)
    status = keel.wait_exit(TIMEOUT)
    text = keel.log.read_text(errors="replace").replace("\r", "")
    assert "DEVICE-WRITES 200000 done" in text
    no_failure(status, text)
    assert "HOSTILE linux ok" in text


@pytest.mark.parametrize("boot", ["hostile-fuzz", "hostile-lua"])
@pytest.mark.limit(TIMEOUT + 30)
def test_random_hypercalls(machine, boot):
    """200,000 random hypercalls a partition: no panic, and the neighbours finish their work."""
    status, text = run(machine, boot)
    no_failure(status, text)
    assert text.count("HOSTILE fuzz ok") >= 1
    if boot == "hostile-fuzz":		# who came to its end, as one may not, could do something with what it had of the other
        done = re.findall(r"fuzz: (\d+) connected, (\d+) closed, (\d+) granted, (\d+) revoked", text)
        assert done and all(min(map(int, counts)) for counts in done), done


@pytest.mark.limit(TIMEOUT + 30)
def test_shadow_tables_stay_right(machine):
    """The checks again in a build that checks all shadow tables as it runs, with forged interrupts."""
    status, text = run(machine, "hostile-checks", "--kernel", str(DEBUG))
    no_failure(status, text)
    assert f"HOSTILE done {NCHECKS} ok, 0 failed" in text
    assert "interrupt on the hypercall vector dropped" in text	# the forged interrupts did come


@pytest.mark.limit(TIMEOUT + 30)
def test_shadow_tables_stay_right_under_fuzz(machine):
    """Random hypercalls and page tables in the same build."""
    no_failure(*run(machine, "hostile-fuzz", "--kernel", str(DEBUG)))


@pytest.mark.limit(TIMEOUT + 30)
def test_shadow_tables_stay_right_under_linux(machine):
    """Linux boots, forks, maps and pages in the same build."""
    linux = machine("--bundle", str(IMAGES / "linux-test.bundle"), "--kernel", str(DEBUG), timeout=TIMEOUT,
                    append="quiet keel.run=/tests/run-all.sh")
    linux.wait_exit(TIMEOUT)
    text = linux.log.read_text(errors="replace")
    assert "[keel] panic" not in text
    assert "KEEL-RUN EXIT" in text


@pytest.mark.parametrize("boot", OWN_FAULTS)
def test_own_fault_is_a_panic(machine, boot):
    """A fault of the metakernel itself, or a bad shadow entry, is a panic with status 122, no reset."""
    status, text = run(machine, boot, "--kernel", str(DEBUG), timeout=120)
    assert "[keel] panic" in text
    assert status == 122


def test_trampoline_code():
    """What runs in ring 0 under a partition's tables is constant addresses and no branch it could steer."""
    done = subprocess.run([TOP / "tests/check/trampoline.py", IMAGES / "keel.elf"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.limit(TIMEOUT + 30)
def test_linux_lives_beside_a_fuzzer(machine):
    """Linux answers while a neighbour fuzzes and another attacks, and after both have ended."""
    linux = machine("--bundle", str(GUEST / "hostile-linux.bundle"), timeout=TIMEOUT)
    linux.wait_prompt()
    # One line of input, one answer when both neighbours are silent: their output cuts Linux's lines in two.
    linux.send("until [ $(keelctl ps | grep -c exited) = 2 ]; do test $(ls /bin | wc -l) -gt 10 || break; sleep 1; done;"
               " [ $(keelctl ps | grep -c exited) = 2 ]; echo \"@\"ended $?\r")
    assert linux.expect(r"@ended (\d)", TIMEOUT).group(1) == "0"
    linux.send("exit 7\r")
    assert linux.wait_exit() == 7
    text = linux.log.read_text(errors="replace")
    assert not re.findall(r"HOSTILE .* FAIL.*", text)
    assert "HOSTILE fuzz ok" in text and f"HOSTILE done {NCHECKS} ok, 0 failed" in text


@pytest.mark.parametrize("cpu", ["ryzen", "corei7_skylake_x", "tigerlake"])
@pytest.mark.limit(1830)
def test_attacks_are_refused_in_bochs(cpu):
    """The second opinion: Bochs differs from QEMU in just the corners these attacks are about."""
    if not shutil.which("bochs"):
        pytest.skip("bochs is not installed")
    log = LOGS / f"security-bochs-{cpu}.log"
    LOGS.mkdir(parents=True, exist_ok=True)
    done = subprocess.run([TOP / "scripts/bochs-run", "--iso", GUEST / "hostile-quick.iso", "--cpu", cpu, "--timeout", "1800",
                           "--log", log], stdout=subprocess.DEVNULL, cwd=TOP)
    text = log.read_text(errors="replace").replace("\r", "")
    no_failure(done.returncode, text)
    # The one of them that has these; WRMSR and VERW fault where they are not known.
    assert ("between partitions: IBPB, return addresses, VERW" in text) == (cpu == "tigerlake")
