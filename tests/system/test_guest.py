# SPDX-License-Identifier: MIT
"""Runs the guest programs (tests/guest/) in one boot of each kind; each program is a test of its own.

The same programs must pass natively and on Keel, so a difference is Keel's doing.
"""
import re

import pexpect
import pytest
from conftest import BUILD, LOGS, TOP, Machine
from systems import KINDS

PROGRAMS = sorted(p.stem for p in (TOP / "tests" / "guest").glob("*.c"))
outcomes = {}


def run_all(kind):
    """Boot once and run every program -> {name: (status, output)}; a name may be missing after a crash."""
    if kind not in outcomes:
        LOGS.mkdir(parents=True, exist_ok=True)
        linux = Machine(LOGS / f"guest-{kind}.log", KINDS[kind], "quiet keel.run=/tests/run-all.sh", 420)
        try:
            linux.wait_exit()
        except pexpect.ExceptionPexpect:
            linux.stop()
        text = (LOGS / f"guest-{kind}.log").read_text(errors="replace").replace("\r", "")
        outcomes[kind] = {m.group(1): (int(m.group(3)), m.group(2)) for m in
                          re.finditer(r"GUEST-TEST (\S+) starts\n(.*?)GUEST-TEST \1 (\d+)\n", text, re.S)}
    return outcomes[kind]


@pytest.mark.limit(450)
@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("kind", [pytest.param(k, marks=pytest.mark.group("guest")) for k in KINDS])
def test_program(kind, program):
    results = run_all(kind)
    assert program in results, f"no result; see {(LOGS / f'guest-{kind}.log').relative_to(BUILD.parent)}"
    status, output = results[program]
    if status == 77:
        pytest.skip(output.strip().splitlines()[-1])
    assert status == 0, f"status {status}:\n{output}"
