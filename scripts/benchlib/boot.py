# SPDX-License-Identifier: MIT
"""
boot.json: from reset to the first program, tests/bench/boot_mark.c, which resets the machine at once. QEMU
is kept then and asked for the instructions it ran (idle time is none), and in runs without -icount for its
own CPU time. The firmware and the metakernel's own start are in both.
"""
import json
import os
import re
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from . import machine, table

APPEND = "norandmaps rdinit=/bench/boot_mark"
MEM = "1G"		# of which boot_memory_taken is a part


class Monitor:
    """QEMU's control socket."""

    def __init__(self, path, until):
        self.socket = socket.socket(socket.AF_UNIX)
        while True:
            try:
                self.socket.connect(path)
                break
            except OSError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)
        self.socket.settimeout(max(1, until - time.monotonic()))
        self.lines = self.socket.makefile("r", encoding="utf-8")
        self.lines.readline()
        self.ask("qmp_capabilities")

    def ask(self, what):
        self.socket.sendall(json.dumps({"execute": what}).encode() + b"\n")
        return self.wait("return")["return"]

    def wait(self, key, value=None):
        for line in self.lines:
            answer = json.loads(line)
            if key in answer and value in (None, answer[key]):
                return answer
        raise OSError("QEMU has gone")


def cpu_seconds(run):
    """CPU time of the QEMU below keel-run."""
    with open(f"/proc/{run.pid}/task/{run.pid}/children", encoding="ascii") as f:
        child = f.read().split()[0]
    fields = Path(f"/proc/{child}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def boot(side, icount, args, number=0, words="quiet"):
    """-> serial output, instructions, CPU seconds"""
    name = f"boot-{side}-{'icount' if icount else f'cpu{number}'}"
    options = [*(machine.KEEL if side == "keel" else machine.NATIVE), "--mem", MEM, "--append", f"{words} {APPEND}"]
    with tempfile.TemporaryDirectory() as tmp:
        extra = ["--", "-qmp", f"unix:{tmp}/qmp,server=on,wait=off", "-action", "shutdown=pause"]
        with subprocess.Popen([*machine.command(name, [*options, *(["--icount"] if icount else [])], args.timeout), *extra],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as run:
            try:
                monitor = Monitor(f"{tmp}/qmp", time.monotonic() + args.timeout)
                monitor.wait("event", "SHUTDOWN")
                insns = monitor.ask("query-replay").get("icount") if icount else None
                seconds = cpu_seconds(run)
                monitor.ask("quit")
            except OSError as error:
                machine.fail(name, f"the run `{name}`: {error}")
            finally:
                run.terminate()
    text = machine.log_path(name).read_text(errors="replace")
    if "BOOT-MARK" not in text:
        machine.fail(name, f"the run `{name}` did not reach its first program")
    return text, insns, seconds


def usable_bytes(text):
    """Memory that the firmware's map, or the metakernel's, gives Linux."""
    return sum(int(b, 16) + 1 - int(a, 16)
               for a, b in re.findall(r"BIOS-e820: \[mem 0x([0-9a-f]+)-0x([0-9a-f]+)\] usable", text))


def measure(args):
    keel, keel_insns, _ = boot("keel", True, args)
    _, native_insns, _ = boot("native", True, args)
    entries = machine.entries(keel).get("boot", {})
    keel_map, native_map = (usable_bytes(boot(side, False, args, 0, "")[0]) for side in ("keel", "native"))
    rows = [table.row("boot_instructions", "instructions", keel_insns, native_insns),
            table.row("boot_memory_taken", "bytes", native_map - keel_map)]
    rows += [table.row("boot_entries" if cause == "total" else f"boot_entries_{cause}", "entries", n)
             for cause, n in entries.items()]
    if not args.no_wall:
        sides = machine.rounds(args, lambda side, n: {"boot_cpu": boot(side, False, args, n)[2]})
        rows[1:1] = table.wall_rows(sides, "s", "_seconds")
    table.write("boot", rows)
    table.show("boot", rows)
