# SPDX-License-Identifier: MIT
"""Keel boots on different CPUs, with little and much memory, loaded by QEMU and by GRUB. Not the full
product: each CPU and each size of memory with each way of booting.
"""
import re

import pytest
from conftest import IMAGES
from systems import log_text

pytestmark = pytest.mark.group("boot")

MACHINES = [
    ("max", "6G", "direct"), ("max", "1G", "iso"),
    ("EPYC", "256M", "direct"), ("EPYC", "1G", "iso"),
    ("Skylake-Server", "1G", "direct"), ("Skylake-Server", "6G", "iso"),
    ("qemu64,+fsgsbase,+smep", "6G", "direct"), ("qemu64,+fsgsbase,+smep", "256M", "iso"),
]


def kib(size):
    return int(size[:-1]) << {"M": 10, "G": 20}[size[-1]]


@pytest.mark.parametrize("cpu, memory, way", MACHINES, ids=[f"{c.split(',')[0]}-{m}-{w}" for c, m, w in MACHINES])
def test_machine(machine, cpu, memory, way):
    """Linux reaches the shell, knows it is on Keel, and has nearly all of the memory."""
    linux = machine("--cpu", cpu, "--mem", memory, f"--{way}")
    linux.wait_prompt()
    assert "Hypervisor detected: Keel" in linux.shell("dmesg | grep -i hypervisor")
    total = int(linux.shell("sed -n 's/^MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo"))
    assert kib(memory) * 0.93 - (80 << 10) < total <= kib(memory)
    linux.send("exit 3\r")
    assert linux.wait_exit() == 3


@pytest.mark.limit(240)
@pytest.mark.parametrize("way", ["direct", pytest.param("iso", marks=pytest.mark.full), pytest.param("uefi", marks=pytest.mark.full)],
                         ids="more-memory-than-the-image-has-tables-for-{}".format)
def test_large_memory(machine, way):
    """100 GiB, of which the host gives what is touched: the tables for it do not lie where Linux is linked to be."""
    linux = machine("--mem", "100G", f"--{way}", "--bundle", str(IMAGES / "linux-test.bundle"), "--append",
                    "quiet keel.run=/bin/cat keel.args=/proc/meminfo", "--", "-machine", "memory-backend=ram",
                    "-object", "memory-backend-ram,id=ram,size=100G,reserve=off", timeout=200)
    assert linux.wait_exit() == 0
    text = log_text(linux)
    assert re.search(r"\[keel\] 1023\d\d MiB of memory", text)
    assert int(re.search(r"^MemTotal: *(\d+) kB", text, re.M).group(1)) > 0.97 * kib("100G")


@pytest.mark.limit(150)
@pytest.mark.parametrize("feature, cpu", [("fsgsbase", "qemu64"), ("nx", "max,-nx"), ("cx16", "max,-cx16")],
                         ids=["cpu-without-fsgsbase", "cpu-without-nx", "cpu-without-cx16"])
def test_refused(machine, feature, cpu):
    """A CPU that cannot carry Keel is refused by the feature's name, with status 121."""
    keel = machine("--cpu", cpu, "--mem", "128M", timeout=120)
    keel.expect(rf"\[keel\] this CPU lacks:[^\r\n]* {feature}\b")
    assert keel.wait_exit() == 121
