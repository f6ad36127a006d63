# SPDX-License-Identifier: MIT
"""The machine's CPUs come up, or are named and left out, and the machine goes on with the rest.

A test that is about the CPUs alone runs one Lua peer; those where Linux gets the memory the others were started
in boot Linux to a program. Failure looks like a hang (124), a reset (123), or another number in the log.
"""
import re
import shutil
import struct
import subprocess

import pytest
from conftest import IMAGES, LOGS, TOP
from systems import log_text, partition, system, make_bundle

pytestmark = [pytest.mark.group("cpus"), pytest.mark.limit(300)]

SAID = r"\[keel\] (\d+) CPUs?, (\d+) left out \((x2?APIC)\)"


def boot_lua(machine, folder, *options, append=""):
    """One Lua peer, as soon as it may run -> what the log says: up, left out, mode, all text."""
    bundle = make_bundle(folder, system(partition("lua", cmdline="lua /boot/a.lua", modules="a.lua"), linux=""),
                         {"a.lua": "os.exit(5)"})
    keel = machine("--bundle", bundle, "--mem", "128M", *options, append=append)
    return said(keel, 5)


def said(keel, status):
    assert keel.wait_exit() == status
    text = log_text(keel)
    up, out, mode = re.search(SAID, text).groups()
    return int(up), int(out), mode, text


@pytest.mark.parametrize("cpus", [1, 2, 4, 8, 64], ids="come-up-{}".format)
def test_all_come_up(machine, tmp_path, cpus):
    """Every CPU of the machine, up to the limit of 64."""
    up, out, mode, text = boot_lua(machine, tmp_path, "--cpus", str(cpus))
    assert (up, out, mode) == (cpus, 0, "xAPIC")
    assert ("time-stamp counters agree" in text) == (cpus > 1)
    assert "corrected" not in text		# the emulator has one time for all


def test_linux_with_many(machine):
    """Linux runs on in a machine of four CPUs, in the memory they were started in too."""
    keel = machine("--cpus", "4", append="keel.run=/bin/true")
    assert said(keel, 0)[:2] == (4, 0)


def test_ids_with_holes(machine, tmp_path):
    """APIC ids are the firmware's: three cores a socket leave every fourth id out."""
    assert boot_lua(machine, tmp_path, "--", "-smp", "6,sockets=2,cores=3")[:2] == (6, 0)


def test_places_for_cpus_are_no_cpus(machine, tmp_path):
    """The MADT names places a CPU could be plugged into; they are not started."""
    assert boot_lua(machine, tmp_path, "--", "-smp", "2,maxcpus=8")[:2] == (2, 0)


def test_more_than_supported(machine, tmp_path):
    """70 CPUs: said so, and 64 of them run."""
    up, out, _, text = boot_lua(machine, tmp_path, "--cpus", "70")
    assert (up, out) == (64, 6)
    assert "[keel] 70 CPUs, 64 are supported" in text


@pytest.mark.parametrize("most,up", [("1", 1), ("3", 3), ("64", 4)], ids=["maxcpus-1", "maxcpus-3", "maxcpus-64"])
def test_maxcpus(machine, tmp_path, most, up):
    """maxcpus= before the -- limits them; behind it, it is Linux's."""
    assert boot_lua(machine, tmp_path, "--cpus", "4", append=f"maxcpus={most} -- maxcpus=2")[:2] == (up, 4 - up)


@pytest.mark.parametrize("value", ["0", "65", "many", ""], ids="maxcpus-refused-{}".format)
def test_maxcpus_refused(machine, value):
    """No number of CPUs: refused by name before any partition."""
    keel = machine("--cpus", "2", append=f"maxcpus={value} --")
    keel.expect(r"\[keel\] refused: boot line: maxcpus: not a number from 1 to 64\r")
    assert keel.wait_exit() == 120


def silenced(folder, code):
    """The metakernel with other code at the beginning of its start page."""
    elf = IMAGES / "keel.elf"
    names = subprocess.run(["nm", elf], capture_output=True, text=True, check=True).stdout
    va = int(re.search(r"^(\w+) . hal_ap_page$", names, re.M).group(1), 16)
    image = bytearray(elf.read_bytes())
    phoff, = struct.unpack_from("<Q", image, 32)
    offset, base = struct.unpack_from("<QQ", image, phoff + 8)
    at = va - base + offset
    assert image[at:at + 2] == b"\xfa\xfc"		# cli; cld
    image[at:at + len(code)] = code
    out = folder / "silent.elf"
    out.write_bytes(image)
    return str(out)


SLEEPS = "f4 ebfd"		# 1: hlt; jmp 1b
# ds = 0x9100; bx = si = 0; al = 1; 1: jmp 1b. Zeroes, which come next, are `add %al, (%bx,%si)`: Linux's command line.
SPINS = "b80091 8ed8 31db 31f6 b001 ebfe"


@pytest.mark.parametrize("code", [SLEEPS, SPINS], ids=["never-answers-sleeping", "never-answers-spinning"])
def test_cpu_that_never_answers(machine, tmp_path, code):
    """It is named and left out, and is not running any more when the start page becomes Linux's memory."""
    keel = machine("--kernel", silenced(tmp_path, bytes.fromhex(code)), "--cpus", "3", append="keel.run=/bin/true")
    up, out, _, text = said(keel, 0)
    assert (up, out) == (1, 2)
    for apic_id in (1, 2):
        assert f"[keel] CPU with APIC id {apic_id} does not answer: left out" in text
    assert "Command line: console=hvc0 " in text


def test_cpu_of_another_kind(machine, tmp_path):
    """One without SMEP among others with it: ring 1 would be less protected on it."""
    up, out, _, text = boot_lua(machine, tmp_path, "--", "-smp", "1,sockets=3,maxcpus=3",
                                "-device", "max-x86_64-cpu,socket-id=1,core-id=0,thread-id=0,smep=off",
                                "-device", "max-x86_64-cpu,socket-id=2,core-id=0,thread-id=0")
    assert (up, out) == (2, 1)
    assert "[keel] CPU with APIC id 1 differs from the boot CPU in smep: left out" in text


def make_iso(folder, words):
    tree = folder / "iso" / "boot"
    (tree / "grub").mkdir(parents=True)
    config = (TOP / "images" / "grub.cfg").read_text()
    assert "keel.elf --\n" in config
    (tree / "grub" / "grub.cfg").write_text(config.replace("keel.elf --\n", f"keel.elf {words}\n"))
    shutil.copy(IMAGES / "keel.elf", tree)
    shutil.copy(IMAGES / "linux-test.bundle", tree / "keel.bundle")
    iso = folder / "keel.iso"
    subprocess.run(["grub-mkrescue", "-o", iso, tree.parent], check=True, capture_output=True)
    return iso


@pytest.mark.parametrize("cpu,words,mode", [("ryzen", "--", "xAPIC"), ("corei7_icelake_u", "x2apic --", "x2APIC")],
                         ids=["bochs-xapic", "bochs-x2apic"])
@pytest.mark.limit(930)
def test_two_in_bochs(tmp_path, cpu, words, mode):
    """The second opinion, and the emulator that has x2APIC: two CPUs, and Linux runs a program."""
    if not shutil.which("bochs"):
        pytest.skip("bochs is not installed")
    log = LOGS / f"cpus-bochs-{mode}.log"
    LOGS.mkdir(parents=True, exist_ok=True)
    done = subprocess.run([TOP / "scripts/bochs-run", "--iso", make_iso(tmp_path, f"{words} keel.run=/bin/true"), "--cpu", cpu,
                           "--cpus", "2", "--timeout", "900", "--log", log], stdout=subprocess.DEVNULL, cwd=TOP)
    assert done.returncode == 0
    assert re.search(SAID, log.read_text(errors="replace")).groups() == ("2", "0", mode)
