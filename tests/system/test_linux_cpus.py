# SPDX-License-Identifier: MIT
"""Linux's own words about its CPUs, NMIs, and its end, on a machine with two."""
import re

import pytest
from conftest import BUILD, IMAGES
from systems import LINUX, copy_disk, make_bundle, partition, system

pytestmark = pytest.mark.group("smp")
CPU = "/sys/devices/system/cpu"
KERNEL_MAP = 0xffffffff80000000		# the image's link address 0 is machine address 0


def two_cpus(machine, append="", kind="keel"):
    how = {"keel": ["--bundle", str(IMAGES / "linux-test.bundle")],
           "native": ["--native", "--initrd", str(IMAGES / "initramfs-test.cpio.gz")]}
    linux = machine("--cpus", "2", *how[kind], append=append)
    linux.wait_prompt()
    return linux


def test_nr_cpus_limits_linux(machine):
    """nr_cpus=1: the second CPU does not exist for Linux."""
    linux = two_cpus(machine, "nr_cpus=1")
    assert linux.shell(f"cat {CPU}/possible {CPU}/online").split() == ["0", "0"]


def test_maxcpus_leaves_cpus_for_later(machine):
    """maxcpus=1: the second CPU is there, off, and comes up when told to."""
    linux = two_cpus(machine, "maxcpus=1 loglevel=1")
    assert linux.shell(f"cat {CPU}/possible {CPU}/online").split() == ["0-1", "0"]
    assert linux.shell(f"echo 1 > {CPU}/cpu1/online; cat {CPU}/online").split() == ["0-1"]


@pytest.mark.parametrize("kind", [pytest.param(k, id=f"{k}-nmi_reaches_who_spins") for k in ("native", "keel")])
def test_nmi_reaches_who_spins(machine, kind):
    """sysrq-l shows the CPU that waits for a lock with interrupts off (tests/stress/smp_nmi.c)."""
    symbols = (BUILD / "linux" / "System.map").read_text()
    address = int(re.search(r"^(\w+) \w pidmap_lock$", symbols, re.M).group(1), 16) - KERNEL_MAP
    linux = two_cpus(machine, "loglevel=1", kind)
    said = linux.shell(f"/stress/smp_nmi {address:#x}")
    assert linux.status == 0, said


def test_panic_on_one_cpu_ends_all(machine):
    """The second CPU panics, in the middle of work on both: one panic is said, and Linux has crashed."""
    linux = two_cpus(machine)
    linux.send("(while :; do ls -lR /proc > /dev/null 2>&1; done) & taskset 2 sh -c 'echo c > /proc/sysrq-trigger'\r")
    linux.expect("Kernel panic - not syncing")
    linux.expect(r"\[keel\] linux: crashed")
    assert "Kernel panic" not in linux.before
    assert linux.wait_exit() not in (0, 124)


def test_shared_cpu_shows_steal_time(machine, tmp_path):
    """A peer computes on CPU 1 and Linux does, too: there Linux counts stolen time, and on CPU 0 hardly any."""
    busy = partition("busy", cmdline="lua /boot/busy.lua", modules="busy.lua", more="cpus = <1>;")
    linux = machine("--cpus", "2", "--bundle",
                    make_bundle(tmp_path, system(busy), {"busy.lua": "while true do end"}))
    linux.wait_prompt()
    linux.shell("for c in 1 2; do taskset $c sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done' & done; wait")
    stolen = [int(line.split()[8]) for line in linux.shell("cat /proc/stat").splitlines() if re.match(r"cpu\d", line)]
    assert stolen[1] > 0 and stolen[0] * 4 < stolen[1], stolen


@pytest.mark.parametrize("words, ids", [pytest.param(w, i, id=f"linux_on_{n}") for n, w, i in (
    ("second_cpu", "cpus = <1>;", [1]), ("first_and_third", "cpus = <2 0>;", [0, 2]), ("one_vcpu", "vcpus = <1>;", [0]))])
def test_linux_on(machine, tmp_path, words, ids):
    """Linux has the CPUs of the MADT that the manifest gives it, and its disk's interrupts reach them there."""
    bundle = make_bundle(tmp_path, system(linux=LINUX.replace("devices;", f"devices; {words}")))
    linux = machine("--cpus", "3", "--bundle", bundle, "--disk", str(copy_disk(tmp_path)), append="loglevel=1")
    linux.wait_prompt()
    assert [int(line.split()[-1]) for line in linux.shell("grep ^apicid /proc/cpuinfo").splitlines()] == ids
    for cpu in range(len(ids)):
        linux.shell(f"echo 3 > /proc/sys/vm/drop_caches; taskset {1 << cpu:x} md5sum /mnt/words.txt")
        assert linux.status == 0
    counts = [line.split() for line in linux.shell("grep virtio.*-req /proc/interrupts").splitlines()]
    assert all(sum(int(line[1 + cpu]) for line in counts) > 0 for cpu in range(len(ids))), counts
