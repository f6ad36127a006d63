# SPDX-License-Identifier: MIT
"""ipc.json: what entries into the metakernel, doorbells and messages cost, tests/bench/peer."""
import re
from . import machine, table


def peer_run(name, args, wall="", options=()):
    """-> {operation: cost}, in instructions; in ticks with `wall`, which is part of the log's name"""
    log = f"ipc-{name}{wall and '-' + wall}"
    text = machine.run(log, ["--bundle", machine.PEERS / f"{name}.bundle", *([] if wall else ["--icount"]), *options],
                       min(args.timeout, 120))
    if "BENCH-END" not in text:
        machine.fail(log, f"the run `{name}` did not come to its end")
    ticks = 1 if wall else machine.ticks_an_instruction(text)
    return {m.group(1): int(m.group(2)) / ticks for m in re.finditer(r"BENCH (\S+) (\d+)", text)}


def measure(args):
    counted = peer_run("pair", args) | peer_run("entries", args)
    rows = [table.row(name, "instructions", cost) for name, cost in counted.items()]
    table.write("ipc", rows)
    table.show("ipc", rows)
