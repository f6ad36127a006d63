# SPDX-License-Identifier: MIT
"""What `make bench` measures on two CPUs is done on two CPUs.

tests/bench/ops_smp.c looks after each operation where its threads, processes and interrupts were. Failure looks like an operation that
says so, or like a machine with one CPU on which it says nothing. With -icount, as most of it is measured: who waits then costs the host nothing.
"""
import re

import pytest
from systems import KINDS, log_text

pytestmark = [pytest.mark.group("bench"), pytest.mark.own_cpus, pytest.mark.limit(400)]

# All kinds of them: threads that fault and that share a page, interrupts, two processes, one that moves.
OPERATIONS = ["faults", "mprotect_shared", "ipi", "pipe_cross", "migrate"]


def run(machine, kind, cpus):
    linux = machine(*KINDS[kind], "--cpus", str(cpus), "--icount", append=f'quiet keel.run=/bench/smp_bench keel.args="{" ".join(OPERATIONS)}"',
                    timeout=390)
    return linux.wait_exit(), log_text(linux)


@pytest.mark.parametrize("kind", [pytest.param(kind, id=f"{kind}-operations-are-on-two-cpus") for kind in KINDS])
def test_two_cpus(machine, kind):
    status, text = run(machine, kind, 2)
    assert status == 0, text[-2000:]
    assert re.findall(r"^BENCH (\w+) ", text, re.M) == OPERATIONS


def test_one_cpu_is_found_out(machine):
    status, text = run(machine, "native", 1)
    assert status != 0 and "BENCH faults" not in text
