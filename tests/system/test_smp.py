# SPDX-License-Identifier: MIT
"""Several CPUs: how many Linux has, that all obey a change of a mapping, that they go and come, and that
interrupts move between them, all under load (tests/stress/smp_*.c) and natively, too. What each program
shows and what its failure looks like is said there; in the full run they take minutes instead of seconds.
"""
import re
import shutil
import socketserver
import subprocess
import threading

import pytest
from conftest import BUILD, FULL, LOGS, TOP
from systems import KINDS, log_text

pytestmark = [pytest.mark.group("smp"), pytest.mark.own_cpus]

DEBUG = BUILD / "tests" / "guest" / "keel-debug.elf"
SLACK = 200		# seconds for the boot, and for a machine that is slow


def cases(what, *kinds):
    """keel-WHAT-2cpus, native-WHAT-2cpus, ..., and with 4 CPUs in the full run."""
    return pytest.mark.parametrize("kind, cpus", [
        pytest.param(kind, cpus, id=f"{kind}-{what}-{cpus}cpus", marks=[pytest.mark.full] if cpus > 2 else [])
        for kind in kinds for cpus in (2, 4)])


def run_program(machine, kind, cpus, program, *options, words="", seconds=60, qemu=()):
    """Boot, run this one, which must pass -> the serial output."""
    limit = seconds + SLACK
    append = f'quiet {words} keel.run=/stress/run keel.args="{limit} /stress/{program}"'
    linux = machine(*KINDS[kind], "--cpus", str(cpus), *options, "--append", append, "--", *qemu, timeout=limit + 60)
    status = linux.wait_exit()
    text = log_text(linux)
    assert f"STRESS-RUN /stress/{program} 0\n" in text, text[-3000:]
    assert f"on {cpus} CPUs\n" in text and status == 0
    return text


def check_count(text, cpus):
    """What /bin/nproc has said."""
    assert re.search(r"^(\d+)\nKEEL-RUN EXIT 0$", text, re.M).group(1) == str(cpus)


@pytest.mark.limit(1300)
@pytest.mark.parametrize("cpus", [pytest.param(8, id="boots-with-8-cpus"),
                                  pytest.param(64, id="boots-with-64-cpus", marks=pytest.mark.full)])
def test_boots(machine, cpus):
    """To a program, which counts the CPUs."""
    linux = machine(*KINDS["keel"], "--cpus", str(cpus), "--mem", "1G", append="keel.run=/bin/nproc", timeout=1200)
    assert linux.wait_exit() == 0
    check_count(log_text(linux), cpus)


@pytest.mark.limit(1200)
def test_boots_in_bochs_with_2_cpus():
    """The second emulator: to a program and off."""
    if not shutil.which("bochs"):
        pytest.skip("bochs is not installed")
    log = LOGS / "smp-bochs.log"
    done = subprocess.run([TOP / "scripts/bochs-run", "--iso", BUILD / "tests/guest/nproc.iso", "--cpus", "2",
                           "--timeout", "1100", "--log", log], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    text = log.read_text(errors="replace").replace("\r", "")
    assert done.returncode == 0, text[-2000:]
    check_count(text, 2)


@pytest.mark.limit(1000)
@cases("shootdown", "keel")
def test_shootdown(machine, kind, cpus):
    """With the metakernel that checks its shadow tables: no violation, no lost write."""
    seconds = 600 if FULL else 30
    run_program(machine, kind, cpus, "smp_shootdown", "--kernel", str(DEBUG), words=f"STRESS_SECONDS={seconds}",
                seconds=seconds)


@pytest.mark.limit(1600)
@cases("hotplug", "native", "keel")
def test_hotplug(machine, kind, cpus):
    """CPUs off and on 200 times under load."""
    rounds = 200 if FULL else 20
    run_program(machine, kind, cpus, "smp_hotplug", words=f"STRESS_ROUNDS={rounds}", seconds=6 * rounds)


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(1 << 16):
            self.request.sendall(data)


@pytest.fixture
def echo_port():
    """A server that sends back what it gets, to which the guest says 10.0.2.2."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.mark.limit(600)
@cases("irqs", "native", "keel")
def test_interrupts_move(machine, tmp_path, echo_port, kind, cpus):
    """The second disk has a level-triggered line, whose IOAPIC entry is written at each move; e2fsck is content."""
    ext4, raw, seconds = tmp_path / "ext4", tmp_path / "raw", 120 if FULL else 10
    subprocess.run(["/sbin/mke2fs", "-q", "-t", "ext4", ext4, "64M"], check=True)
    raw.write_bytes(bytes(4 << 20))
    run_program(machine, kind, cpus, "smp_irqs", "--disk", str(ext4), words=f"ECHO_PORT={echo_port} STRESS_SECONDS={seconds}",
                seconds=seconds, qemu=["-drive", f"file={raw},if=none,id=raw,format=raw",
                                       "-device", "virtio-blk-pci,drive=raw,vectors=0"])
    checked = subprocess.run(["/sbin/e2fsck", "-fn", ext4], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout
