# SPDX-License-Identifier: MIT
"""
ipc.json: what entries into the metakernel, doorbells and messages cost, tests/bench/peer.

irqs_off_max_*: a metakernel that measures how long it keeps interrupts off prints `IRQS-OFF PATH
INSTRUCTIONS` for each path that a run of it has provoked. Its runs are the bundles in
build/tests/bench/irqs-off, its image is keel.elf there; where they are not built there are no such rows.
"""
import re
from . import machine, table

IRQS_OFF = machine.PEERS / "irqs-off"


def peer_run(name, args):
    text = machine.run(f"ipc-{name}", ["--bundle", machine.PEERS / f"{name}.bundle", "--icount"], min(args.timeout, 120))
    if "BENCH-END" not in text:
        machine.fail(f"ipc-{name}", f"the run `{name}` did not come to its end")
    ticks = machine.ticks_an_instruction(text)
    return {m.group(1): int(m.group(2)) / ticks for m in re.finditer(r"BENCH (\S+) (\d+)", text)}


def irqs_off(args):
    """-> {path: instructions}, the longest of all runs."""
    longest = {}
    for bundle in sorted(IRQS_OFF.glob("*.bundle")):
        text = machine.run(f"irqs-off-{bundle.stem}", ["--kernel", IRQS_OFF / "keel.elf", "--bundle", bundle, "--icount"],
                           args.timeout, may_fail=True)
        for path, insns in re.findall(r"IRQS-OFF (\S+) (\d+)", text):
            longest[path] = max(int(insns), longest.get(path, 0))
    return longest


def measure(args):
    counted = peer_run("pair", args) | peer_run("entries", args)
    rows = [table.row(name, "instructions", cost) for name, cost in counted.items()]
    rows += [table.row(f"irqs_off_max_{path}", "instructions", cost) for path, cost in irqs_off(args).items()]
    table.write("ipc", rows)
    table.show("ipc", rows)
