# SPDX-License-Identifier: MIT
"""
run.json: a program of its own, tests/bench/ops_run.c: on Keel a partition by `keelctl run lua`, natively a process of the
same Lua. The best of several.
  first_line   from fork() until its first line has come out of a pipe; idle time counts, at one instruction a nanosecond
  end          from the end of its input until the program that was started has gone
  memory_kib   of Linux's memory, for one that waits for input: on Keel without the 8 MiB that are the partition's own: the
               metakernel's tables, the window, and the processes that look after it
"""
import re
from . import machine, table
from .linux import instructions, nanoseconds

OPERATIONS = ("first_line", "end")


def boot(side, icount, args, number=0):
    return machine.run(f"run-{side}-{'icount' if icount else f'wall{number}'}",
                       [*(machine.KEEL if side == "keel" else machine.NATIVE), "--append",
                        "quiet norandmaps keel.run=/bench/run_bench", *(["--icount"] if icount else [])], args.timeout)


def memory_kib(text):
    return min(int(kib) for kib in re.findall(r"RUN-KIB memory_of_one (-?\d+)", text))


def only(costs):
    return {name: costs[name] for name in OPERATIONS}


def measure(args):
    keel, native = (boot(side, True, args) for side in ("keel", "native"))
    rows = table.both(only(instructions(keel)), only(instructions(native)))
    rows.append(table.row("memory_kib", "KiB", memory_kib(keel), memory_kib(native)))
    if not args.no_wall:
        rows += table.wall_rows(machine.rounds(args, lambda side, n: only(nanoseconds(boot(side, False, args, n)))))
    table.write("run", rows)
    table.show("run", rows, machine.entries(keel))
