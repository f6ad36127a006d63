# SPDX-License-Identifier: MIT
"""Keel boots Linux in ring 1, by each way of booting, and passes its exit status out."""
import pytest
from conftest import IMAGES, TOP

pytestmark = pytest.mark.group("boot")


def check_shell(linux, also=lambda: True):
    linux.wait_prompt()
    assert also()
    assert "6.12" in linux.shell("uname -r")
    linux.shell("test -c /dev/keel")
    assert linux.status == 0
    linux.send("exit 7\r")
    assert linux.wait_exit() == 7


def test_keel_boots_to_shell(machine, disk):
    """Direct boot (multiboot 1) reaches the shell with the disk mounted; status 7 comes out."""
    linux = machine("--disk", disk)
    linux.expect(r"\[keel\] ")
    check_shell(linux, lambda: "words.txt" in linux.shell("ls /mnt"))


def test_linux_alone_boots(machine):
    """A manifest without a peer or channel is a system too."""
    check_shell(machine("--bundle", str(IMAGES / "linux-test.bundle")))


def test_program_status_comes_out(machine):
    """keel.run's status leaves through the metakernel."""
    linux = machine(append='keel.run=/bin/ls keel.args="/ /nonexistent"')
    linux.expect(r"KEEL-RUN EXIT 1\b")
    assert linux.wait_exit() == 1


def test_machine_with_two_cpus_boots(machine):
    """A second CPU, which the metakernel leaves parked, does not disturb the boot."""
    check_shell(machine("--cpus", "2"))


def test_iso_boots_with_grub(machine):
    """GRUB on BIOS firmware loads the ISO (multiboot 2)."""
    check_shell(machine("--iso"))


@pytest.mark.limit(400)
def test_iso_boots_with_uefi(machine):
    """GRUB on UEFI firmware loads the same ISO."""
    check_shell(machine("--uefi", timeout=360))


def test_bad_bundle_is_refused(machine, tmp_path):
    """A module that is no bundle ends the boot with a reason and status 120, not with a hang."""
    bad = tmp_path / "bad.bundle"
    bad.write_bytes(b"not a cpio archive" * 100)
    keel = machine("--bundle", str(bad))
    keel.expect(r"\[keel\] ")
    assert keel.wait_exit() == 120


def test_manifest_refused_by_name(machine, bundle):
    """A bad manifest is refused with the node and property named."""
    text = (TOP / "images" / "linux-only.dts").read_text()
    keel = machine("--bundle", bundle(text.replace('kind = "linux"', 'kind = "toaster"')))
    keel.expect(r"\[keel\] [^\r\n]*linux[^\r\n]*kind")
    assert keel.wait_exit() == 120


def test_linux_panic_is_not_success(machine):
    """When Linux, the last partition, panics, the run's status says that something went wrong."""
    linux = machine("--bundle", str(IMAGES / "linux-test.bundle"), append="rdinit=/nonexistent root=/dev/none")
    linux.expect("Kernel panic")
    assert linux.wait_exit() not in (0, 124)
