# SPDX-License-Identifier: MIT
"""
unikernel.json (only `keel` is measured): image_bytes, the size of lua.elf; memory_bytes, the least memory
in the manifest with which a trivial script runs; start_instructions from the partition's entry to main(),
page fills by the metakernel included.
"""
import re
import subprocess
import tempfile
from pathlib import Path
from . import machine, table

MANIFEST = """/dts-v1/;
/ {
	compatible = "keel,system-1";
	partitions { lua {
		kind = "unikernel"; image = "lua.elf"; memory = /bits/ 64 <%d>; priority = <8>; shadow-pages = <64>;
		cmdline = "KEEL_TIMES=1 lua /boot/bench.lua"; modules = "bench.lua";
	}; };
};
"""


def lua(memory, icount, args):
    """Boot Lua alone in `memory` bytes -> serial output."""
    with tempfile.TemporaryDirectory() as tmp:
        manifest, script, bundle = Path(tmp) / "system.dts", Path(tmp) / "bench.lua", Path(tmp) / "keel.bundle"
        manifest.write_text(MANIFEST % memory)
        script.write_text('print("running")\n')
        subprocess.run([machine.TOP / "scripts/mkbundle", "-I", machine.IMAGES, "-o", bundle, manifest,
                        f"bench.lua={script}"], check=True)
        return machine.run(f"lua-{memory >> 10}k", ["--bundle", bundle, "--mem", "128M", *(["--icount"] if icount else [])],
                           min(args.timeout, 60), may_fail=True)


def runs_in(memory, args):
    return re.search(r"^(\[lua\] )?running", lua(memory, False, args), re.M) is not None


def measure(args):
    text = lua(4 << 20, True, args)
    ticks = re.search(r"from entry to main\(\): (\d+)", text)
    khz = re.search(r"TSC (\d+) kHz", text)
    if not ticks or not khz:
        machine.fail("lua-4096k", "Lua does not start")
    good, bad = 4 << 20, 0			# bisect in pages of 4 KiB
    while good - bad > 4096:
        middle = (good + bad) // 2 & ~4095
        good, bad = (middle, bad) if runs_in(middle, args) else (good, middle)
    rows = [table.row("image_bytes", "bytes", (machine.IMAGES / "lua.elf").stat().st_size),
            table.row("memory_bytes", "bytes", good),
            table.row("start_instructions", "instructions", int(ticks.group(1)) * 1_000_000 / int(khz.group(1)))]
    table.write("unikernel", rows)
    table.show("unikernel", rows)
