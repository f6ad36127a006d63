# SPDX-License-Identifier: MIT
"""
irqs.json: the longest stretch with interrupts off, irqs_off_max.PATH, while a partition provokes each path that
could be long (tests/bench/peer/irqs.c) on a metakernel that measures itself (make MEASURE=1); irqs_off_max.any
is that of the whole run. Rows ..._2cpus are of a run with two CPUs (tests/bench/peer/irqs2.c): the instructions of the CPU
that has its interrupts off, without what the other one does while this one waits for it. docs/security.md gives the bound.
"""
import re
from . import machine, table

KERNEL = machine.BUILD / "measure/images/keel.elf"


def longest(name, options, timeout):
    """-> {path: instructions}"""
    text = machine.run(name, ["--kernel", KERNEL, "--bundle", machine.PEERS / f"{name}.bundle", "--icount", *options], timeout,
                       may_fail=True)
    if "BENCH-END" not in text:
        machine.fail(name, f"the run `{name}` did not come to its end")
    ticks = machine.ticks_an_instruction(text)
    return {path: int(cost) / ticks for path, cost in re.findall(r"IRQS-OFF (\S+) (\d+)", text)}


def measure(args):
    costs = longest("irqs", ["--mem", "2G"], args.timeout) | longest("irqs2", ["--mem", "1G", "--cpus", "2"], 2 * args.timeout)
    rows = [table.row(f"irqs_off_max.{path}", "instructions", cost) for path, cost in costs.items()]
    table.write("irqs", rows)
    table.show("irqs", rows)
