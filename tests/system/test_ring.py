# SPDX-License-Identifier: MIT
"""Where the machine really is: samples of the CPU's registers and page tables, taken from outside by
QEMU while Linux's kernel, Linux's user space and Lua compute and while all of them wait.

Failure looks like a sample in ring 0 at an address of Linux or Lua, or a partition's page table that
maps the metakernel, a page table, or another partition's memory.
"""
import mmap
import random
import shutil
import struct
import time

import pytest
from conftest import IMAGES
from systems import MIB, Monitor, start_shared

pytestmark = [pytest.mark.group("ring"), pytest.mark.limit(240)]

MEMORY = 256
HOLE = 0xffffffffffe00000
TRAMP_END = HOLE + 0x10000
# Address in the hole -> may ring 1 write there? The trampoline's pages come on top, read-only.
HOLE_PAGES = {HOLE + 0x10000: False, HOLE + 0x20000: False, HOLE + 0x30000: True, HOLE + 0x40000: True}
LINUX_TEXT = range(0xffffffff81000000, 0xffffffffa0000000)
PEER = range(0x400000, 0x400000 + 2 * MIB)
PRESENT, WRITE, LARGE, ADDRESS = 1, 2, 0x80, 0x000ffffffffff000
WINDOW_FRAMES = MIB // 4096


def image_range():
    """Virtual and physical addresses of the metakernel's image, from its ELF program headers."""
    data = (IMAGES / "keel.elf").read_bytes()
    at, size, count = struct.unpack_from("<Q", data, 32)[0], *struct.unpack_from("<HH", data, 54)
    heads = [struct.unpack_from("<IIQQQQQQ", data, at + i * size) for i in range(count)]
    loads = [h for h in heads if h[0] == 1]
    return (range(min(h[3] for h in loads), max(h[3] + h[6] for h in loads)),
            range(min(h[4] for h in loads), max(h[4] + h[6] for h in loads)))


class Tables:
    """What one CR3 maps: {virtual: (physical, bytes, writable)}, and the pages the tables lie in."""

    def __init__(self, ram, cr3):
        self.ram, self.leaves, self.pages = ram, {}, set()
        self.walk(cr3 & ADDRESS, 3, 0, True)

    def walk(self, table, level, base, writable):
        assert table + 4096 <= len(self.ram), f"table at {table:#x} is outside of memory"
        self.pages.add(table)
        for i, entry in enumerate(struct.unpack_from("<512Q", self.ram, table)):
            if not entry & PRESENT:
                continue
            va = base | i << (12 + 9 * level)
            if level == 3 and i >= 256:
                va |= 0xffff << 48
            can_write = writable and bool(entry & WRITE)
            if level == 0 or (level < 3 and entry & LARGE):
                size = 1 << (12 + 9 * level)
                self.leaves[va] = (entry & ADDRESS & ~(size - 1), size, can_write)
            else:
                self.walk(entry & ADDRESS, level - 1, va, can_write)


class Samples:
    def __init__(self, folder):
        self.image_va, self.image_pa = image_range()
        ram_file = folder / "ram"
        options = ["--mem", f"{MEMORY}M", "--bundle", str(IMAGES / "test.bundle"), *Monitor.options(folder),
                   "-object", f"memory-backend-file,id=ram,size={MEMORY}M,mem-path={ram_file},share=on",
                   "-machine", "memory-backend=ram"]
        self.linux = start_shared("ring-samples", *options, timeout=200)
        self.linux.wait_prompt()
        self.monitor = Monitor(folder)
        self.taken, self.tables, self.own = [], [], None
        with open(ram_file, "rb") as f, mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ) as ram:
            self.take(ram, 20)					# all wait
            self.linux.shell("dd if=/dev/zero of=/dev/null bs=8M 2>/dev/null & true", 60)
            self.take(ram, 60)					# Linux's kernel clears memory
            self.linux.shell("echo 'while true do local s = {} for i = 1, 100 do s[i] = {} end end' |"
                             " keelctl console -t 0 lua", 60)
            self.linux.shell("while :; do :; done & true", 60)
            self.take(ram, 100)					# user space and Lua as well
        self.linux.shell("kill %1 %2", 60)
        self.linux.send("exit 0\r")
        self.linux.expect(r"\[keel\] exit status 0", 60)

    def take(self, ram, count):
        for n in range(count):
            time.sleep(random.uniform(0.002, 0.02))
            self.monitor.ask("stop")
            regs = self.monitor.registers()
            self.taken.append(regs)
            if regs["cpl"] and n % 3 == 0:
                self.tables.append((regs, Tables(ram, regs["cr3"])))
            elif not regs["cpl"] and regs["rip"] in self.image_va and not self.own:
                self.own = regs["rip"], Tables(ram, regs["cr3"])
            self.monitor.ask("cont")

    def of_linux(self):
        return [t for regs, t in self.tables if regs["rip"] in LINUX_TEXT]

    def of_lua(self):
        return [t for regs, t in self.tables if regs["cpl"] == 1 and regs["rip"] in PEER]


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ring")
    done = None
    try:
        done = Samples(folder)
        yield done
    finally:
        if done:
            done.monitor.close()
            done.linux.stop()
        shutil.rmtree(folder, ignore_errors=True)


def test_linux_kernel_runs_in_ring_1(samples):
    """Every sample at an address of Linux's kernel is in ring 1, on ring 1's code segment."""
    found = [s for s in samples.taken if s["rip"] in LINUX_TEXT]
    assert len(found) >= 10
    assert {(s["cpl"], s["cs"]) for s in found} == {(1, 0x11)}


def test_lua_runs_in_ring_1(samples):
    """So is the unikernel; and Linux's user space, at the same addresses, is in ring 3."""
    found = [s for s in samples.taken if s["rip"] in PEER and s["cpl"] == 1]
    assert len(found) >= 5
    assert any(s["cpl"] == 3 for s in samples.taken)


def test_ring_0_is_the_metakernel(samples):
    """Ring 0 is seen (waiting, at least), and only at the metakernel's and the trampoline's addresses."""
    found = [s for s in samples.taken if s["cpl"] == 0]
    assert found
    for s in found:
        assert s["rip"] in samples.image_va or HOLE <= s["rip"] < TRAMP_END, f"ring 0 at {s['rip']:#x}"
    assert {s["cpl"] for s in samples.taken} <= {0, 1, 3}


def test_metakernel_has_its_own_tables(samples):
    """What runs in the metakernel's image runs under a CR3 that no partition ever has."""
    own = {s["cr3"] for s in samples.taken if s["cpl"] == 0 and s["rip"] in samples.image_va}
    assert own and not own & {s["cr3"] for s in samples.taken if s["cpl"]}


def test_walk_finds_the_metakernel(samples):
    """The control: the same walk of the metakernel's own tables does find the code that runs, where the image lies."""
    rip, tables = samples.own
    assert tables.leaves[rip & ~0xfff][0] - samples.image_pa[0] == (rip & ~0xfff) - samples.image_va[0]


def frames(tables):
    """(virtual, physical page, writable) of all that is mapped outside of the hole."""
    for va, (pa, size, writable) in tables.leaves.items():
        if va < HOLE:
            for page in range(pa, pa + size, 4096):
                yield va, page, writable


def test_metakernel_is_not_mapped(samples):
    """No partition's tables reach a page of the metakernel's image, but for the hole."""
    assert len(samples.tables) > 20
    for regs, tables in samples.tables:
        bad = [hex(va) for va, page, _ in frames(tables) if page in samples.image_pa]
        assert not bad, f"CR3 {regs['cr3']:#x} maps the metakernel at {bad[:4]}"


def test_hole_is_what_the_abi_says(samples):
    """In the last 2 MiB: the trampoline and the fixed pages, of which ring 1 can write two."""
    for _, tables in samples.tables:
        hole = {va: leaf for va, leaf in tables.leaves.items() if va >= HOLE}
        assert HOLE in hole
        for va, (_, size, writable) in hole.items():
            assert size == 4096 and (va < TRAMP_END or va in HOLE_PAGES), hex(va)
            assert writable == HOLE_PAGES.get(va, False), hex(va)


def test_page_tables_are_not_mapped(samples):
    """No page that a partition's real page tables lie in is mapped by any partition."""
    in_use = set().union(*(tables.pages for _, tables in samples.tables))
    for _, tables in samples.tables:
        bad = [hex(va) for va, page, _ in frames(tables) if page in in_use]
        assert not bad, bad[:4]


def test_partitions_share_the_window_only(samples):
    """Of RAM, Linux and Lua have at most the channel's window in common."""
    linux = {page for t in samples.of_linux() for _, page, _ in frames(t)}
    lua = {page for t in samples.of_lua() for _, page, _ in frames(t)}
    assert len(lua) > 50 and len(linux) > 500
    both = sorted(page for page in linux & lua if page < MEMORY * MIB)
    assert len(both) <= WINDOW_FRAMES
    assert not both or both[-1] - both[0] < MIB
