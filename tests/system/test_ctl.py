# SPDX-License-Identifier: MIT
"""keelctl beside `run`: what it tells of partitions, to people and with --json to programs.

One machine for all tests of the file. Failure looks like JSON of another shape than docs/keelctl.md has, or a value that is not what was asked for.
"""
import re

import pytest
from conftest import IMAGES
from keelctl_json import DOCUMENTS, document
from systems import start_shared
from test_run import LEFT, program, put, run

pytestmark = [pytest.mark.group("run"), pytest.mark.limit(240)]

BUSY = "'while true do end'"
SLEEPS = "'io.read()'"


@pytest.fixture(scope="module", name="linux")
def shared_machine():
    linux = start_shared("ctl", "--bundle", str(IMAGES / "test.bundle"), timeout=1200)
    linux.wait_prompt()
    linux.shell("dmesg -n 1; mkdir /tmp/work; cd /tmp/work")
    yield linux
    linux.stop()


@pytest.fixture(autouse=True)
def nothing_is_left(linux):
    """Whatever a test runs, what the machine has afterwards is what it had before."""
    before = linux.shell(LEFT)
    yield
    assert linux.shell(LEFT) == before


def ask(linux, command):
    """`keelctl COMMAND --json` -> its document."""
    output, status = run(linux, f"keelctl {command} --json")
    assert status == 0, output
    return document(command.split()[0], output)


def by_name(found):
    return {one["name"]: one for one in found["partitions"]}


# --- for programs ---------------------------------------------------------------------------------------

def test_json_of_partitions(linux):
    """ps has the partitions there are, as they were asked for, with their ends."""
    put(linux, "fault.elf", program(b"\x31\xc0\x89\x00"))		# mov [0], eax
    linux.shell(f"keelctl run -d --name burns -m 16M --prio 3 lua -e {BUSY}; keelctl run -d --name fault ./fault.elf; keelctl wait fault")
    parts = by_name(ask(linux, "ps"))
    assert parts["linux"]["state"] == "running" and parts["burns"]["state"] in ("running", "blocked")
    assert (parts["burns"]["memory_bytes"], parts["burns"]["priority"], parts["burns"]["vcpus"]) == (16 << 20, 3, 1)
    assert parts["burns"]["status"] is None and parts["burns"]["fault"] is None
    assert "fault" not in parts					# its memory is Linux's again
    linux.shell("keelctl kill burns; keelctl wait burns; keelctl rm burns fault")


def test_json_of_what_was_asked_for(linux):
    """inspect has the whole command line, while it runs and when it has ended."""
    linux.shell("mkdir -p /tmp/other; A=here keelctl run -d --name job -v /tmp/other:/o:ro -v /tmp/work -e A -e 'B=\"x\"' "
                "-m 9M --cpus 0 lua -e 'io.stderr:write(\"on\") os.exit(tonumber(arg[0]))' '4' 'two words'; keelctl wait job")
    found = ask(linux, "inspect job")
    job = found["job"]
    assert found["partition"] is None and not job["running"] and job["keeper"] is None
    assert (job["image"], job["status"], job["restarts"], job["said"]) == ("lua", 4, 0, None)
    assert job["arguments"][0] == "-e" and job["arguments"][2:] == ["4", "two words"]
    assert job["environment"] == ["A=here", 'B="x"'] and job["directory"] == "/tmp/work"
    assert job["volumes"] == [{"host": "/tmp/other", "path": "/o", "writable": False},
                              {"host": "/tmp/work", "path": "/tmp/work", "writable": True}]
    assert (job["memory_bytes"], job["cpus"], job["ended"] >= job["started"]) == (9 << 20, "0x1", True)
    output, status = run(linux, "keelctl inspect job; keelctl rm job; rmdir /tmp/other")
    assert status == 0 and re.search(r"^exit-status +4$", output, re.M) and re.search(r"^volume +/tmp/other:/o:ro$", output, re.M)


def test_json_of_a_running_job(linux):
    linux.shell(f"keelctl run -d --name job lua -e {BUSY}")
    found = ask(linux, "inspect job")
    assert found["partition"]["name"] == "job" and found["job"]["running"] and found["job"]["ended"] is None
    assert linux.shell(f"tr '\\0' ' ' </proc/{found['job']['keeper']}/cmdline").startswith("keelctl run -d --name job")
    linux.shell("keelctl kill job; keelctl wait job; keelctl rm job")


def test_json_of_counters_and_images(linux):
    counters = ask(linux, "stats linux")["counters"]
    plain = dict(line.split("=") for line in linux.shell("keelctl stats -p linux").split("\n"))
    assert list(counters) == list(plain) and 0 < counters["total"] <= int(plain["total"])
    size = int(linux.shell("wc -c </usr/lib/keel/images/lua.elf"))
    assert {"name": "lua", "bytes": size} in ask(linux, "images")["images"]
    assert ask(linux, "inspect linux")["job"] is None


def test_json_is_refused_where_there_is_none(linux):
    for command in ("caps", "log", "rm x", "wait x"):
        assert command not in DOCUMENTS and run(linux, f"keelctl {command} --json 2>/dev/null")[1] in (1, 2)
    assert run(linux, "keelctl inspect none --json 2>&1") == \
        ("keelctl: inspect none: no such partition (keelctl ps lists them), and no detached one that has ended", 1)


# --- top --------------------------------------------------------------------------------------------------

def test_top_finds_who_burns_time(linux):
    """The one that computes is above the one that sleeps, and has most of the CPU beside an idle Linux; without a terminal it is a table."""
    linux.shell(f"mkfifo q; sleep 1000 >q & keelctl run -d --name burns lua -e {BUSY}; keelctl run -d --name sleeps lua -e 'os.execute()' ")
    found = ask(linux, "top -d 0.5")
    names = [one["name"] for one in found["partitions"]]
    assert names[0] in ("burns", "linux") and names.index("burns") < names.index("lua")
    rows = by_name(found)
    assert rows["burns"]["cpu_permille"] > 100 > rows["lua"]["cpu_permille"] and found["interval_ms"] >= 500
    output, status = run(linux, "keelctl top -n 2 -d 0.2")
    assert status == 0 and "\x1b" not in output
    assert [line.split()[0] for line in output.split("\n\n")[1].split("\n")].count("burns") == 1 and output.count("ENTRIES/S") == 2
    linux.shell("keelctl kill burns; keelctl wait burns; keelctl wait sleeps; keelctl rm burns sleeps; kill $!; rm q")


def test_top_on_a_terminal_goes_on_until_ctrl_c(linux):
    linux.send("keelctl top -d 0.1; echo status-$?\r")
    for _ in range(3):
        linux.expect("\x1b\\[H\x1b\\[JNAME ")
        linux.expect(r"linux +running")
    linux.send("\x03")
    linux.wait_prompt()
    assert run(linux, "keelctl top -n 0 2>&1")[1] == 1
