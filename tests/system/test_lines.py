# SPDX-License-Identifier: MIT
"""Interrupt lines: two disks on level-triggered lines of their own, read at once, both to the end.

Failure looks like: a request that never ends, because its line stayed masked.
"""
import pytest
from systems import make_bundle, system

pytestmark = pytest.mark.group("lines")

# Each disk is read over and over, past the cache.
READER = """#!/bin/sh
for disk in vda vdb; do
	( n=0; while [ $n -lt 40 ]; do dd if=/dev/$disk of=/dev/null bs=16k iflag=direct 2>/dev/null || exit 1; n=$((n + 1)); done
	  echo "LINES $disk done" ) &
done
wait
grep -E 'virtio[0-9]' /proc/interrupts
"""


@pytest.mark.limit(110)
@pytest.mark.parametrize("qemu", ["pc", "q35"])
def test_two_disks_on_level_triggered_lines(machine, tmp_path, qemu):
    drives = []
    for number, name in enumerate("ab"):
        disk = tmp_path / f"disk{name}"
        disk.write_bytes(bytes([65 + number]) * (2 << 20))
        drives += ["-drive", f"file={disk},if=none,format=raw,id={name}",
                   "-device", f"virtio-blk-pci,drive={name},vectors=0"]
    path = make_bundle(tmp_path, system(), rootfs={"/read-disks": READER}, initramfs="initramfs-test.cpio.gz")
    m = machine("--bundle", path, "--append", "keel.run=/read-disks", "--", "-machine", qemu, *drives, timeout=100)
    assert m.wait_exit() == 0
    text = m.log.read_text(errors="replace")
    assert "LINES vda done" in text and "LINES vdb done" in text
    lines = [line for line in text.splitlines() if "IO-APIC" in line and "virtio" in line]
    assert len(lines) == 2 and all("fasteoi" in line for line in lines), lines	# it was INTx, two of them
