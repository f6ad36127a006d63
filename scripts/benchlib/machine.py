# SPDX-License-Identifier: MIT
"""Run machines for measuring and read what they print: BENCH NAME OPERATIONS TICKS [NANOSECONDS]."""
import os
import re
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent
BUILD = Path(os.environ.get("O") or "build")
BUILD = BUILD if BUILD.is_absolute() else TOP / BUILD
IMAGES, OUT, PEERS = BUILD / "images", BUILD / "bench", BUILD / "tests/bench"
NATIVE = ["--native", "--initrd", IMAGES / "initramfs-test.cpio.gz"]
KEEL = ["--bundle", IMAGES / "linux-test.bundle"]
# SMAP adds CLAC and STAC, ERMS makes REP MOVSB one byte an instruction: neither says anything here.
CPU = "max,smap=off,erms=off"


def log_path(name):
    return OUT / f"{name}.log"


def fail(name, what):
    sys.exit(f"bench: {what}; log: {os.path.relpath(log_path(name))}")


def command(name, options, timeout):
    return [str(x) for x in (TOP / "scripts/keel-run", "--cpu", CPU, "--log", log_path(name), "--timeout", timeout,
                             *options)]


def run(name, options, timeout, may_fail=False):
    """Run a machine to its end -> its serial output."""
    done = subprocess.run(command(name, options, timeout), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    if done.returncode and not may_fail:
        fail(name, f"the run `{name}` ended with status {done.returncode}")
    return log_path(name).read_text(errors="replace")


def ticks_an_instruction(text):
    """TSC ticks, from the loop of known length; 1 where the TSC counts QEMU's instruction clock anyway."""
    loop = re.search(r"BENCH-LOOP (\d+) (\d+)", text)
    return int(loop.group(2)) / int(loop.group(1)) if loop else 1.0


def costs(text):
    """-> {operation: ticks}"""
    return {m.group(1): float(m.group(2)) for m in re.finditer(r"BENCH (\S+) \d+ ([\d.]+)", text)}


def entries(text):
    """-> {operation: {cause: entries}}"""
    return {m.group(1): {c: float(v) for c, v in re.findall(r"(\w+)=([\d.]+)", m.group(2))}
            for m in re.finditer(r"ENTRIES (\S+)(.*)", text)}


def rounds(args, measure):
    """Interleaved: measure("keel", n), measure("native", n), n = 1.. -> {side: {operation: [cost, ...]}}"""
    sides = {"keel": {}, "native": {}}
    for number in range(1, args.rounds + 1):
        for side, all_costs in sides.items():
            for name, cost in measure(side, number).items():
                all_costs.setdefault(name, []).append(cost)
    return sides
