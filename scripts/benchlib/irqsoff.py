# SPDX-License-Identifier: MIT
"""
irqs.json: the longest stretch with interrupts off, irqs_off_max.PATH, while a partition provokes each path that
could be long (tests/bench/peer/irqs.c) on a metakernel that measures itself (make MEASURE=1); irqs_off_max.any
is that of the whole run. docs/security.md gives the bound.
"""
import re
from . import machine, table

KERNEL = machine.BUILD / "measure/images/keel.elf"


def measure(args):
    text = machine.run("irqs", ["--kernel", KERNEL, "--bundle", machine.PEERS / "irqs.bundle", "--mem", "2G", "--icount"],
                       args.timeout, may_fail=True)
    if "BENCH-END" not in text:
        machine.fail("irqs", "the run `irqs` did not come to its end")
    ticks = machine.ticks_an_instruction(text)
    rows = [table.row(f"irqs_off_max.{path}", "instructions", int(cost) / ticks)
            for path, cost in re.findall(r"IRQS-OFF (\S+) (\d+)", text)]
    table.write("irqs", rows)
    table.show("irqs", rows)
