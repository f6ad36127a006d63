# SPDX-License-Identifier: MIT
"""ipc.json: what entries into the metakernel, doorbells and messages cost, tests/bench/peer."""
import re
from . import machine, table


def peer_run(name, args, options=()):
    text = machine.run(f"ipc-{name}", ["--bundle", machine.PEERS / f"{name}.bundle", "--icount", *options], min(args.timeout, 120))
    if "BENCH-END" not in text:
        machine.fail(f"ipc-{name}", f"the run `{name}` did not come to its end")
    ticks = machine.ticks_an_instruction(text)
    return {m.group(1): int(m.group(2)) / ticks for m in re.finditer(r"BENCH (\S+) (\d+)", text)}


def measure(args):
    counted = peer_run("pair", args) | peer_run("entries", args)
    rows = [table.row(name, "instructions", cost) for name, cost in counted.items()]
    table.write("ipc", rows)
    table.show("ipc", rows)
