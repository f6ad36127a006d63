# SPDX-License-Identifier: MIT
"""Manifests and bundles for system tests, and a machine that several tests of a file share.

    system(partition("lua", cmdline="lua /boot/a.lua", modules="a.lua"), channel("lua"))

is the text of a manifest with Linux and that peer. write_bundle() packs any bytes, also wrong ones.
"""
import json
import re
import socket
import subprocess
import time
from pathlib import Path

import pexpect
from conftest import IMAGES, LOGS, TOP, Machine

MIB = 1 << 20
NEVER = r"(?!)"		# matches nothing
# One kernel, two ways to boot it with the tests' programs.
KINDS = {
    "native": ["--native", "--initrd", str(IMAGES / "initramfs-test.cpio.gz")],
    "keel": ["--bundle", str(IMAGES / "linux-test.bundle")],
}
LINUX = """		linux {
			kind = "linux"; image = "vmlinux"; initrd = "initramfs.cpio.gz"; cmdline = "console=hvc0 panic=0 thp_anon=16K,32K,64K:always";
			memory-rest; priority = <8>; shadow-pages = <2048>; control; devices;
		};
"""


def partition(name, image="lua.elf", memory=2 * MIB, cmdline="", modules="", priority=8, more="", kind="unikernel"):
    files = f'modules = "{modules}";' if modules else ""
    return f"""		{name} {{
			kind = "{kind}"; image = "{image}"; memory = /bits/ 64 <{memory}>; priority = <{priority}>;
			shadow-pages = <64>; cmdline = "{cmdline}"; {files} {more}
		}};
"""


def channel(name, server="linux", window=MIB):
    return f'\t\t{name} {{ server = "{server}"; client = "{name}"; window = /bits/ 64 <{window:#x}>; }};\n'


def system(partitions="", channels="", linux=LINUX):
    tail = f"\tchannels {{\n{channels}\t}};\n" if channels else ""
    return ('/dts-v1/;\n/ {\n\tcompatible = "keel,system-1";\n\tpartitions {\n' +
            linux + partitions + "\t};\n" + tail + "};\n")


def compile_tree(dts):
    """dtc's bytes for a manifest."""
    return subprocess.run(["dtc", "-q", "-I", "dts", "-O", "dtb"], input=dts.encode(), capture_output=True,
                          check=True).stdout


def write_bundle(folder, files):
    """A bundle of {name: bytes or path}, in this order, nothing added and nothing checked -> its path."""
    items = []
    for number, (name, content) in enumerate(files.items()):
        if isinstance(content, bytes):
            path = folder / f"part{number}"
            path.write_bytes(content)
            content = path
        items.append(f"file:{name}={content}")
    out = folder / "made.bundle"
    subprocess.run([TOP / "scripts" / "mkcpio", "-o", out, *items], check=True)
    return out


def make_bundle(folder, dts, files=None, rootfs=None, initramfs="initramfs.cpio.gz"):
    """A bundle for this manifest. files: {name: path, or a script's text}; rootfs: {path: text} in Linux."""
    given = {"initramfs.cpio.gz": IMAGES / initramfs}
    for name, content in (files or {}).items():
        if isinstance(content, str):
            (folder / name).write_text(content)
            content = folder / name
        given[name] = content
    if rootfs:
        given["initramfs.cpio.gz"] = more_files(folder, given["initramfs.cpio.gz"], rootfs)
    manifest, out = folder / "system.dts", folder / "keel.bundle"
    manifest.write_text(dts)
    subprocess.run([TOP / "scripts" / "mkbundle", "-I", IMAGES, "-o", out, manifest,
                    *[f"{name}={path}" for name, path in given.items()]], check=True)
    return str(out)


def more_files(folder, initramfs, rootfs):
    """An initramfs with these files (programs, if they begin with "#!") behind what it has."""
    items = []
    for number, (path, text) in enumerate(rootfs.items()):
        own = folder / f"rootfs{number}"
        own.write_text(text)
        own.chmod(0o755 if text.startswith("#!") else 0o644)
        items.append(f"file:{path}={own}")
    tail, out = folder / "rootfs.cpio.gz", folder / "initramfs-own.cpio.gz"
    subprocess.run([TOP / "scripts" / "mkcpio", "-z", "-o", tail, *items], check=True)
    out.write_bytes(Path(initramfs).read_bytes() + tail.read_bytes())
    return out


def copy_disk(folder):
    """A fresh copy of the demo disk."""
    copy = folder / "demo.img"
    subprocess.run(["cp", "--sparse=always", IMAGES / "demo.img", copy], check=True)
    return copy


def start_shared(name, *options, append="", timeout=240):
    """A machine for the tests of a file, with its serial output in build/log/NAME.log."""
    LOGS.mkdir(parents=True, exist_ok=True)
    return Machine(LOGS / f"{name}.log", list(options), append, timeout)


def start_keelctl(name, timeout, each=60):
    """The machine that a module's tests of keelctl have in common: quiet, in an empty folder, a minute for each answer."""
    linux = start_shared(name, "--bundle", str(IMAGES / "test.bundle"), timeout=timeout)
    linux.wait_prompt()
    linux.process.timeout = each
    linux.shell("dmesg -n 1; mkdir /tmp/work; cd /tmp/work")
    return linux


def log_text(machine):
    """All the machine has said on its serial port so far."""
    return machine.log.read_text(errors="replace").replace("\r", "")


def wait_said(machine, pattern, times=1, timeout=120):
    """Wait until the machine has said this, also if an expect() for something else has passed it -> bool."""
    end = time.monotonic() + timeout
    while len(re.findall(pattern, log_text(machine))) < times:
        try:
            machine.expect(NEVER, timeout=0.3)		# keeps reading; what comes stays for the next expect()
        except pexpect.TIMEOUT:
            if time.monotonic() > end:
                return False
        except pexpect.EOF:
            return len(re.findall(pattern, log_text(machine))) >= times
    return True


class Monitor:
    """QEMU's control socket: machine(..., *Monitor.options(folder)), then Monitor(folder)."""

    @staticmethod
    def options(folder):
        return ["--", "-qmp", f"unix:{folder}/qmp,server=on,wait=off"]

    def __init__(self, folder):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        self.socket.connect(f"{folder}/qmp")
        self.lines = self.socket.makefile("r", encoding="utf-8")
        self.lines.readline()
        self.ask("qmp_capabilities")

    def ask(self, command, **arguments):
        self.socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        while True:
            answer = json.loads(self.lines.readline())
            if "error" in answer:
                raise RuntimeError(answer["error"])
            if "return" in answer:
                return answer["return"]

    def registers(self):
        """Registers of the (stopped) CPU: rip, cs, cr3, cpl, ..."""
        text = self.ask("human-monitor-command", **{"command-line": "info registers"})
        found = {k.lower(): int(v, 16) for k, v in re.findall(r"\b(RIP|RFL|CR\d|R\w\w?)\s*=\s*([0-9a-f]{8,16})", text)}
        found["cpl"] = int(re.search(r"CPL=(\d)", text).group(1))
        found["cs"] = int(re.search(r"CS\s*=\s*([0-9a-f]{4})", text).group(1), 16)
        return found

    def close(self):
        self.lines.close()
        self.socket.close()
