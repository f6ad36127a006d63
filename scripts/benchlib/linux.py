# SPDX-License-Identifier: MIT
"""linux.json: operations of Linux on Keel and natively, tests/bench/linux_bench.c."""
import json
import re
from . import machine, table

# Wall time of Xen PV relative to the same kernel natively, QEMU TCG, 4 KiB pages: measured by hand for the
# first version on a machine like those below, not by this program (README, "Measured").
XEN_WALL_RATIO = {"getppid": 31, "read_zero": 22, "page_fault_4k": 4.4, "fork_exit": 2.8, "fork_exec": 3.0,
                  "ctx_switch": 1.9, "pipe_rt": 3.4}


def boot(side, icount, args, number=0):
    return machine.run(f"{side}-{'icount' if icount else f'wall{number}'}",
                       [*(machine.KEEL if side == "keel" else machine.NATIVE), "--append",
                        "quiet norandmaps keel.run=/bench/linux_bench", *(["--icount"] if icount else [])], args.timeout)


def instructions(text):
    ticks = machine.ticks_an_instruction(text)
    return {name: cost / ticks for name, cost in machine.costs(text).items()}


def nanoseconds(text):
    return {m.group(1): float(m.group(2)) for m in re.finditer(r"BENCH (\S+) \d+ [\d.]+ ([\d.]+)", text)}


def measure(args):
    text = boot("keel", True, args)
    entries = machine.entries(text)
    rows = table.both(instructions(text), instructions(boot("native", True, args)))
    rows.append(table.mean_row(rows))
    if not args.no_wall:
        sides = machine.rounds(args, lambda side, n: nanoseconds(boot(side, False, args, n)))
        wall = table.wall_rows(sides, xen=XEN_WALL_RATIO)
        rows += [*wall, table.mean_row(wall, "_wall")]
    table.write("linux", rows)
    (machine.OUT / "entries.json").write_text(json.dumps(entries, indent=1) + "\n")
    table.show("linux", rows, entries)
