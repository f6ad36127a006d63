# SPDX-License-Identifier: MIT
"""Calls between partitions (tests/peer/calls.c) while another ends and restarts the callers 200 times at random moments:
running, queued, being served, on the way. In the end the server ends. Each answer is to the question that was asked, a
server never sees words of two callers on one channel, and nobody waits for ever. A failure is a line with FAIL, the boss's
status, or its time limit.
"""
import pytest
from conftest import BUILD
from systems import log_text, make_bundle, system
from test_security import DEBUG

pytestmark = [pytest.mark.group("calls"), pytest.mark.own_cpus]


def peer(name, what, priority, more=""):
    return f"""		{name} {{
			kind = "test"; image = "calls.elf"; memory = /bits/ 64 <0x80000>; priority = <{priority}>;
			shadow-pages = <64>; cmdline = "{what}"; {more}
		}};
"""


@pytest.mark.limit(150)
@pytest.mark.parametrize("cpus, place, debug", [
    pytest.param(1, False, False, id="1-cpu"),
    pytest.param(1, False, True, id="1-cpu-debug"),
    pytest.param(2, False, False, id="2-cpus-anywhere"),
    pytest.param(2, True, False, id="2-cpus-server-apart"),
    pytest.param(2, False, True, id="2-cpus-debug"),
])
def test_callers_come_and_go(machine, tmp_path, cpus, place, debug):
    """Callers below, at and above the server's own priority."""
    apart, beside = ("cpus = <1>;", "cpus = <0>;") if place else ("", "")
    callers = [f"caller-{priority}" for priority in (5, 8, 8, 11)]
    names = [f"{name}-{n}" for n, name in enumerate(callers)]
    partitions = peer("server", "serve", 8, apart)
    partitions += "".join(peer(name, "call", name.split("-")[1], beside) for name in names)
    partitions += peer("boss", "boss", 12, "control;")
    channels = "".join(f'\t\t{name} {{ server = "server"; client = "{name}"; window = /bits/ 64 <0x1000>; }};\n' for name in names)
    bundle = make_bundle(tmp_path, system(partitions, channels, linux=""), {"calls.elf": BUILD / "tests/peer/calls.elf"},
                         initramfs="initramfs-test.cpio.gz")
    keel = machine("--bundle", bundle, "--cpus", str(cpus), *(["--kernel", str(DEBUG)] if debug else []), timeout=120)
    status = keel.wait_exit(120)
    text = log_text(keel)
    assert "FAIL" not in text and "panic" not in text
    assert text.count("calls: the server is gone") == len(names)
    assert "calls: all ended well" in text and status == 0
