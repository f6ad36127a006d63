# SPDX-License-Identifier: MIT
"""
app.json and drivercall.json: the same Lua scripts as a peer on Keel (keel) and as a process of the same
Linux natively (native), tests/bench/lua. Both come from one boot of each side.
"""
from . import machine, table

SCRIPTS = ("compute.lua", "files.lua", "calls.lua")
APP = ("fib", "strings", "sort", "tables", "nbody", "file_write_256k", "file_read_256k", "file_copy_256k",
       "file_words_256k")


def boot(side, icount, args, number=0):
    """-> {operation: ticks}"""
    name = f"lua-{side}-{'icount' if icount else f'wall{number}'}"
    options = ["--bundle", machine.PEERS / "lua.bundle"] if side == "keel" else \
        [*machine.NATIVE, "--append", f'quiet norandmaps keel.run=/bench/lua/run keel.args="{" ".join(SCRIPTS)}"']
    text = machine.run(name, [*options, *(["--icount"] if icount else [])], args.timeout)
    if "BENCH-END" not in text:
        machine.fail(name, f"the run `{name}` did not come to its end")
    return machine.costs(text)


made = []	# rows of both areas: they come from the same boots


def all_rows(args):
    if made:
        return made
    rows = table.both(boot("keel", True, args), boot("native", True, args))
    if not args.no_wall:
        # Ticks of the host's TSC: only their ratio says something.
        rows += table.wall_rows(machine.rounds(args, lambda side, n: boot(side, False, args, n)), "ticks")
    made.extend(rows)
    return made


def part(area, args, wanted):
    rows = [r for r in all_rows(args) if wanted(r["name"].removesuffix("_wall"))]
    table.write(area, rows)
    table.show(area, rows)


def measure_app(args):
    part("app", args, lambda name: name in APP)


def measure_drivercall(args):
    part("drivercall", args, lambda name: name not in APP)
