# SPDX-License-Identifier: MIT
"""A wrong manifest, bundle or image is refused before any partition runs: what is wrong is on the
serial port by node and property, and the exit status is 120. Failure looks like 122 (panic), 123
(triple fault), 124 (hang), or a line that names something else.
"""
import re
import struct

import pytest
from conftest import IMAGES
from systems import LINUX, MIB, channel, compile_tree, partition, system, write_bundle

pytestmark = [pytest.mark.group("refused"), pytest.mark.limit(150)]

LUA = partition("lua")


def files(dts=None, dtb=None, **more):
    """What a bundle of one Lua partition holds, with some of it replaced (None: left out)."""
    given = {"system.dtb": dtb if dtb is not None else compile_tree(dts or system(LUA, linux="")),
             "lua.elf": IMAGES / "lua.elf"}
    given.update({name.replace("_", "."): content for name, content in more.items()})
    return {name: content for name, content in given.items() if content is not None}


def refused(machine, bundle, pattern, memory="128M"):
    keel = machine("--bundle", str(bundle), "--mem", memory, timeout=120)
    keel.expect(r"\[keel\] refused: ([^\r\n]*)\r")
    line = keel.process.match.group(1)
    assert re.search(pattern, line), line
    assert keel.wait_exit() == 120


def in_lua(old, new):
    text = system(LUA, linux="")
    assert old in text
    return text.replace(old, new)


MANIFESTS = {
    "unknown-kind": (in_lua('"unikernel"', '"toaster"'), r"/partitions/lua: kind: .*toaster"),
    "unknown-property": (in_lua("priority", "prioritty"), r"/partitions/lua: prioritty: unknown property"),
    "missing-property": (in_lua("priority = <8>;", ""), r"/partitions/lua: priority: missing"),
    "property-of-another-kind": (in_lua("priority", "devices; priority"), r"/partitions/lua: devices: not allowed"),
    "number-of-32-bits": (in_lua("/bits/ 64 ", ""), r"/partitions/lua: memory: not one 64-bit number"),
    "priority-too-large": (in_lua("<8>", "<32>"), r"/partitions/lua: priority: too large"),
    "memory-not-pages": (in_lua(f"<{2 * MIB}>", f"<{2 * MIB + 1}>"), r"/partitions/lua: memory: not a multiple"),
    "memory-too-small": (in_lua(f"<{2 * MIB}>", "<4096>"), r"/partitions/lua: memory: too small"),
    "memory-beyond-limit": (in_lua(f"<{2 * MIB}>", "<0xfffffffffffff000>"), r"/partitions/lua: memory: too large"),
    "unknown-node": (in_lua("\tpartitions {", "\tteapots { };\n\tpartitions {"), r"/teapots: unknown node"),
    "node-in-partition": (in_lua('cmdline = "";', 'cmdline = ""; cup { };'),
                          r"/partitions/lua: unknown node in it: cup"),
    "other-format": (in_lua("system-1", "system-9"), r"/: compatible: "),
    "linux-without-devices": (system(linux=LINUX.replace(" devices;", "")), r"/partitions/linux: devices: missing"),
    "unknown-end": (in_lua("\tpartitions {", '\ton-control-lost = "sleep";\n\tpartitions {'),
                    r"/: on-control-lost: unknown word: sleep"),
    "no-partition": (system(linux=""), r"no partition"),
    "two-linuxes": (system(LINUX.replace("linux {", "linux2 {")), r"/partitions/linux2: kind: second linux"),
    "channel-to-nobody": (system(LUA, channel("lua", "linus"), linux=""), r"/channels/lua: server: no such partition: linus"),
    "channel-to-itself": (system(LUA, channel("lua", "lua"), linux=""), r"/channels/lua: client: same partition"),
    "window-too-large": (system(LUA + partition("b"), channel("b", "lua").replace("0x100000", "0x40001000"), linux=""),
                         r"/channels/b: window: too large"),
}


@pytest.mark.parametrize("case", MANIFESTS)
def test_manifest(machine, tmp_path, case):
    """Each of these manifests, compiled without complaint by dtc, is refused by node and property."""
    dts, pattern = MANIFESTS[case]
    refused(machine, write_bundle(tmp_path, files(dts)), pattern)


def test_boot_line_too_long(machine, tmp_path):
    """A boot line that would have to be cut: said so, instead of a Linux without its last words."""
    keel = machine("--bundle", str(write_bundle(tmp_path, files())), "--mem", "128M", "--append", "w" * 2048, timeout=120)
    keel.expect(r"\[keel\] refused: the boot line is longer than 2047 characters\r")
    assert keel.wait_exit() == 120


def test_command_line_too_long(machine, tmp_path):
    """Each of them fits, the manifest's and the boot line's, but not both: Linux would cut them."""
    linux = LINUX.replace("console=hvc0", "console=hvc0 " + "m" * 1500)
    given = files(system(linux=linux), vmlinux=IMAGES / "vmlinux", initramfs_cpio_gz=IMAGES / "initramfs.cpio.gz")
    keel = machine("--bundle", str(write_bundle(tmp_path, given)), "--mem", "256M", "--append", "w" * 1000, timeout=120)
    keel.expect(r"\[keel\] refused: ([^\r\n]*)\r")
    assert re.search(r"/partitions/linux: cmdline: .* most are 2047", keel.process.match.group(1))
    assert keel.wait_exit() == 120


def test_unknown_words_are_named(machine, tmp_path):
    """A word for the metakernel, which knows none: it is named, and the machine boots."""
    keel = machine("--bundle", str(write_bundle(tmp_path, files())), "--mem", "128M",
                   "--append", "panic=1 -- quiet", timeout=120)
    keel.expect(r'\[keel\] boot line: "panic=1" is not known, ignored')
    keel.expect("> ")
    keel.send("os.exit(3)\r")
    assert keel.wait_exit() == 3
    assert '"quiet" is not known' not in keel.log.read_text(errors="replace")


def damaged_tree(how):
    tree = bytearray(compile_tree(system(LUA, linux="")))
    if how == "tree-cut-short":
        return bytes(tree[:len(tree) // 2])
    if how == "tree-not-one":
        return b"\xd0\x0d\xfe\xed" * 64
    at = struct.unpack_from(">I", tree, 8)[0]	# off_dt_struct; a tag that does not exist
    struct.pack_into(">I", tree, at + 16, 77)
    return bytes(tree)


@pytest.mark.parametrize("case", ["tree-cut-short", "tree-not-one", "tree-with-bad-tag"])
def test_tree(machine, tmp_path, case):
    """A damaged device tree is refused, not walked."""
    refused(machine, write_bundle(tmp_path, files(dtb=damaged_tree(case))), r"/: |tree|tag")


def test_no_bundle_at_all(machine, tmp_path):
    """QEMU passes an empty module, or none: said so."""
    keel = machine("--mem", "128M", "--bundle", str(IMAGES / "lua.elf"), "--", "-initrd", "/dev/null", timeout=120)
    keel.expect(r"\[keel\] refused: ([^\r\n]*)\r")
    assert re.search(r"no bundle|module|archive", keel.process.match.group(1))
    assert keel.wait_exit() == 120


@pytest.mark.parametrize("case", ["bundle-of-text", "bundle-cut-in-a-file", "bundle-cut-in-a-header", "bundle-without-end"])
def test_bundle(machine, tmp_path, case):
    """A module that is no archive, or a part of one."""
    whole = write_bundle(tmp_path, files()).read_bytes()
    end = whole.index(b"TRAILER!!!")
    cut = {"bundle-of-text": b"not a cpio archive " * 100,
           "bundle-cut-in-a-file": whole[:len(whole) // 2],
           "bundle-cut-in-a-header": whole[:end - 50],
           "bundle-without-end": whole[:end - 110]}[case]
    short = tmp_path / "short.bundle"
    short.write_bytes(cut)
    refused(machine, short, r"bundle|archive|cpio|entry|header|lua\.elf|cut|end")


def test_bundle_without_manifest(machine, tmp_path):
    """An archive without system.dtb."""
    given = files()
    del given["system.dtb"]
    refused(machine, write_bundle(tmp_path, given), r"no system\.dtb")


@pytest.mark.parametrize("case", ["image", "modules", "initrd"])
def test_missing_file(machine, tmp_path, case):
    """A file the manifest names and the bundle does not hold."""
    if case == "image":
        given, pattern = files(lua_elf=None), r'/partitions/lua: image: "lua\.elf" is not'
    elif case == "modules":
        given = files(system(partition("lua", modules="a.lua"), linux=""))
        pattern = r'/partitions/lua: modules: "a\.lua" is not'
    else:
        given = files(system(), vmlinux=IMAGES / "vmlinux")
        pattern = r'/partitions/linux: initrd: "initramfs\.cpio\.gz" is not'
    refused(machine, write_bundle(tmp_path, given), pattern, "256M")


def elf(**change):
    """The Lua image with a field of its header, or of its first program header, changed."""
    image = bytearray((IMAGES / "lua.elf").read_bytes())
    for name, value in change.items():
        at, size = {"machine": (18, "<H"), "entry": (24, "<Q"), "phoff": (32, "<Q"), "phnum": (56, "<H"),
                    "vaddr": (64 + 16, "<Q"), "paddr": (64 + 24, "<Q"), "filesz": (64 + 32, "<Q"),
                    "memsz": (64 + 40, "<Q"), "offset": (64 + 8, "<Q")}[name]
        struct.pack_into(size, image, at, value)
    return bytes(image)


IMAGE_CASES = {
    "image-not-elf": b"#!/bin/lua\nprint('hello')\n" * 20,
    "image-empty": b"",
    "image-cut-short": elf()[:5000],
    "image-of-another-machine": elf(machine=183),
    "image-entry-outside": elf(entry=0x10),
    "image-header-outside": elf(phoff=1 << 40),
    "image-segment-in-the-hole": elf(vaddr=0xffffffffffe20000),
    "image-segment-too-large": elf(memsz=1 << 45),
    "image-segments-overlap": elf(memsz=0x60000),
    "image-file-offset-outside": elf(offset=1 << 50),
}


@pytest.mark.parametrize("case", IMAGE_CASES)
def test_image(machine, tmp_path, case):
    """An image that is no x86-64 ELF file or does not fit where it wants to be."""
    refused(machine, write_bundle(tmp_path, files(lua_elf=IMAGE_CASES[case])), r"/partitions/lua: image: ")


def other_abi(version):
    """The Lua image as one of another version of the ABI; 0: without a note."""
    image = (IMAGES / "lua.elf").read_bytes()
    note = struct.pack("<III8sII", 5, 8, 2, b"Keel", 2, 0)
    assert image.count(note) == 1
    return image.replace(note, struct.pack("<III8sII", 5, 8, 2, b"Keel" if version else b"None", version, 0))


@pytest.mark.parametrize("version", [0, 1, 3], ids=["image-without-a-note", "image-of-abi-1", "image-of-abi-3"])
def test_other_abi(machine, tmp_path, version):
    """What was made for another version of the ABI; the line names the image and both versions."""
    refused(machine, write_bundle(tmp_path, files(lua_elf=other_abi(version))),
            rf"/partitions/lua: image: lua\.elf: made for another version of the ABI: {version or 1}, this metakernel has 2$")


def test_linux_of_another_abi(machine, tmp_path):
    """The same of Linux, whose note says where it starts."""
    image = bytearray((IMAGES / "vmlinux").read_bytes())
    at = image.index(struct.pack("<III8s", 5, 24, 1, b"Keel"))
    struct.pack_into("<I", image, at + 20, 1)
    given = files(system(), vmlinux=bytes(image))
    refused(machine, write_bundle(tmp_path, given), r"/partitions/linux: image: .*another version of the ABI: 1, this metakernel has 2$", "256M")


def test_linux_without_keel_note(machine, tmp_path):
    """A kernel that does not know Keel is not started as one that does."""
    given = files(system(), vmlinux=IMAGES / "lua.elf")
    refused(machine, write_bundle(tmp_path, given), r"/partitions/linux: image: .*note", "256M")


def test_memory_that_is_not_there(machine, tmp_path):
    """A peer asking for more than the machine has."""
    refused(machine, write_bundle(tmp_path, files(system(partition("lua", memory=512 * MIB), linux=""))),
            r"/partitions/lua: memory: ")


def test_memory_of_all_together(machine, tmp_path):
    """Requests that fit one by one but not together: the one that no longer fits is named."""
    both = partition("first", memory=70 * MIB) + partition("second", memory=70 * MIB)
    refused(machine, write_bundle(tmp_path, files(system(both, linux=""))), r"/partitions(/second)?: memory")


def test_nothing_left_for_linux(machine, tmp_path):
    """memory-rest with almost nothing left is refused rather than tried."""
    given = files(system(partition("lua", memory=150 * MIB)), vmlinux=IMAGES / "vmlinux",
                  **{"initramfs_cpio_gz": IMAGES / "initramfs.cpio.gz"})
    refused(machine, write_bundle(tmp_path, given), r"/partitions/linux: (memory-rest|image|initrd)", "192M")


def test_module_larger_than_memory(machine, tmp_path):
    """Files that do not fit in the memory of their partition."""
    given = files(system(partition("lua", memory=512 << 10, modules="a.lua"), linux=""), a_lua=b"--" * 300000)
    refused(machine, write_bundle(tmp_path, given), r"/partitions/lua: memory: ")
