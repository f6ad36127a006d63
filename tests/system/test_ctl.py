# SPDX-License-Identifier: MIT
"""keelctl beside `run`: what it tells of partitions, to people and with --json to programs.

One machine for all tests of the file. Failure looks like JSON of another shape than docs/keelctl.md has, or a value that is not what was asked for.
"""
import re

import pytest
from keelctl_json import DOCUMENTS, document
from systems import start_keelctl
from test_run import LEFT, program, put, run

pytestmark = [pytest.mark.group("run"), pytest.mark.limit(240)]

BUSY = "'while true do end'"
# After a test that has failed: the next one begins anew.
CLEAR = "for j in /run/keel/*.job; do j=$(basename $j .job); keelctl kill $j; keelctl wait $j; keelctl rm $j; done >/dev/null 2>&1"


@pytest.fixture(scope="module", name="linux")
def shared_machine():
    linux = start_keelctl("ctl", 1200)
    yield linux
    linux.stop()


@pytest.fixture(autouse=True)
def nothing_is_left(linux):
    """Whatever a test runs, what the machine has afterwards is what it had before."""
    before = linux.shell(LEFT)
    yield
    after = linux.shell(LEFT)
    if after != before:
        linux.shell(CLEAR)
    assert after == before


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


# --- again -------------------------------------------------------------------------------------------------

def test_restarted_on_failure_so_often(linux):
    """Twice, each time twice as late; then its status is what it was. Each start finds its files and streams."""
    put(linux, "fail.lua", "io.write('start\\n') io.open('starts', 'a'):write('x'):close() os.exit(3)")
    linux.shell("keelctl run -d --name job --restart on-failure:2 lua fail.lua")
    assert run(linux, "keelctl wait job") == ("3", 0)
    assert linux.shell("keelctl logs job").split("\n") == [
        "start", "keelctl: job: status 3; it starts again in 100 ms", "start", "keelctl: job: status 3; it starts again in 200 ms", "start"]
    assert ask(linux, "inspect job")["job"]["restarts"] == 2
    assert linux.shell("cat starts; keelctl rm job; rm starts") == "xxx"


def test_restarted_after_a_fault_in_the_foreground(linux):
    put(linux, "own.elf", program(b"\x0f\x0b"))		# ud2
    output, status = run(linux, "keelctl run --name fore --restart on-failure:1 ./own.elf 2>&1")
    lines = output.split("\n")
    assert status == 132 and len(lines) == 2 and "vector 6" in lines[0] and lines[0].endswith("; it starts again in 100 ms")
    assert "vector 6" in lines[1] and lines[1].startswith("keelctl: fore: ")


def test_not_restarted_without_need(linux):
    """After success with on-failure, and never without --restart or when it was killed."""
    for option, code, status in (("on-failure", "os.exit(0)", "0"), ("no", "os.exit(4)", "4")):
        assert run(linux, f"keelctl run -d --name job --restart {option} lua -e '{code}'; keelctl wait job; keelctl logs job; keelctl rm job") == \
            (f"job\n{status}", 0)
    linux.shell(f"keelctl run -d --name job --restart always lua -e {BUSY}")
    assert run(linux, "keelctl kill job; keelctl wait job; keelctl ps | grep -c job; keelctl rm job") == ("137\n0", 0)
    # A run in the foreground hears of it only by its end.
    said = run(linux, f"keelctl run --name fore --restart always lua -e {BUSY} 2>&1 & until keelctl ps | grep -q '^fore *running'; do :; done; "
               "keelctl kill fore; wait $!")
    assert said == ("keelctl: fore: stopped", 137)


def test_stop_ends_what_is_always_restarted(linux):
    """Also in the pause between two starts, with the status it had."""
    linux.shell("keelctl run -d --name job --restart always lua -e 'os.exit(5)'; until [ $(keelctl logs job | wc -l) -ge 5 ]; do :; done")
    assert run(linux, "keelctl stop job; keelctl wait job; keelctl rm job")[0] in ("5", "137")
    assert "job" not in linux.shell("keelctl ps")


def test_restart_of_one_that_runs_and_of_one_that_has_ended(linux):
    """The same command line, the same place, the same environment, under the same name."""
    put(linux, "again.lua", "local f = io.open('starts', 'a') f:write(os.getenv('A'), ' ', arg[1], '\\n') f:close() io.write('up\\n') io.flush() "
                            "if io.open('go') then os.exit(6) end while true do end")
    linux.shell("A='a  b' keelctl run -d --name job -e A lua again.lua \"it's\"; until keelctl logs job | grep -q up; do :; done")
    keeper = ask(linux, "inspect job")["job"]["keeper"]
    assert run(linux, "keelctl restart job; until [ $(wc -l <starts) = 2 ]; do :; done") == ("", 0)
    job = ask(linux, "inspect job")["job"]
    assert (job["restarts"], job["keeper"], job["running"]) == (1, keeper, True)
    linux.shell("keelctl kill job; touch go; cd /; keelctl restart job; keelctl wait job; cd /tmp/work")
    assert linux.shell("keelctl wait job; cat starts") == "6\n" + "\n".join(["a  b it's"] * 3)
    linux.shell("keelctl rm job; rm go starts")
    assert run(linux, "keelctl restart job 2>&1") == ("keelctl: job: no such partition (keelctl ps lists them)", 1)


def test_stop_asks_first(linux):
    """A program that listens ends itself, with its own status; one that does not is ended when its time is over."""
    linux.shell("keelctl run -d --name job --restart always lua -e "
                "'print(\"up\") io.flush() print(pcall(function() while true do end end)) os.exit(6)'; "
                "until keelctl logs job | grep -q up; do :; done")
    assert run(linux, "keelctl stop -t 60 job; keelctl wait job; keelctl logs job; keelctl rm job") == ("6\nup\nfalse\tinterrupted!", 0)
    put(linux, "deaf.elf", program(b"\xeb\xfe"))		# jmp to itself
    linux.shell("keelctl run -d --name job ./deaf.elf")
    assert run(linux, "keelctl stop -t 0.3 job; keelctl wait job; keelctl rm job") == ("137", 0)


# --- the watchdog ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("action, status", [("stop", "137"), ("log", None), ("restart", None)], ids=["watchdog-stops", "watchdog-logs", "watchdog-restarts"])
def test_watchdog(linux, action, status):
    """One that computes for a second without a call is found, and is dealt with as was asked for."""
    said = "keelctl: job: the watchdog: 1 s of computing without one call"
    linux.shell(f"keelctl run -d --name job --watchdog 1:{action} lua -e {BUSY}; until keelctl logs job | grep -q watchdog; do :; done")
    if status:
        assert run(linux, "keelctl wait job; keelctl logs job") == (f"{status}\n{said}; it is ended\nkeelctl: job: stopped", 0)
    elif action == "log":
        assert linux.shell("keelctl logs job").split("\n")[0] == said and ask(linux, "inspect job")["job"]["restarts"] == 0
    else:
        linux.shell("until keelctl inspect job | grep -q '^restarts *[1-9]'; do :; done")
        assert linux.shell("keelctl logs job").split("\n")[0] == said + "; it is started again"
    linux.shell("keelctl kill job; keelctl wait job; keelctl rm job")


def test_watchdog_leaves_others_alone(linux):
    """Who waits is not wedged, and who asks for something now and then is not, however much it computes."""
    linux.shell("keelctl run -di --name waits --watchdog 1:stop lua -e 'io.read()'")
    put(linux, "calls.lua", "for i = 1, 60 do for j = 1, 1e6 do end io.open('f') end os.exit(8)")
    assert run(linux, "keelctl run --watchdog 1:stop lua calls.lua", timeout=120)[1] == 8
    assert ask(linux, "inspect waits")["job"]["running"]
    linux.shell("keelctl kill waits; keelctl wait waits; keelctl rm waits")


# --- consoles ------------------------------------------------------------------------------------------------

ANSWERS = ("print('up') io.flush() while true do local ok, line = pcall(io.read) if ok and not line then os.exit(4) end "
           "print(ok and '<' .. line .. '>' or line) io.flush() if line == 'bye' then os.exit(5) end end")


def start_answers(linux, options):
    put(linux, "answers.lua", ANSWERS)
    linux.shell(f"keelctl run {options} --name job lua answers.lua; until keelctl logs job | grep -q up; do :; done")


def test_console_of_a_detached_one_on_a_pipe(linux):
    """Without a terminal: what is sent is its standard input, what comes back is printed; nothing of what it has said before."""
    start_answers(linux, "-di")
    assert run(linux, "printf 'one\\ntwo\\n' | keelctl console -t 1 job") == ("<one>\n<two>", 0)
    assert run(linux, "echo three | keelctl console -a -t 1 job") == ("up\n<one>\n<two>\n<three>", 0)
    assert run(linux, "echo bye | keelctl console -t 60 job 2>&1") == ("<bye>\nkeelctl: job has ended (keelctl inspect says how)", 0)
    assert run(linux, "keelctl wait job; keelctl logs job | wc -l; keelctl rm job; ls /run/keel/job.* 2>/dev/null | wc -l") == ("5\n5\n0", 0)


def test_console_of_a_detached_one_on_a_terminal(linux):
    """Lines are edited: ^U, ^W, backspace; ^C reaches a program that reads; leaving does not end it."""
    start_answers(linux, "-di")
    linux.send("keelctl console job\r")
    linux.expect("leaves")
    linux.send("not this\x15two words\x17x\x7fyes\r")
    linux.expect("<two yes>")
    linux.send("\x03")
    linux.expect("interrupted!")
    linux.send("on\r")
    linux.expect("<on>")
    linux.send("\x1d")
    linux.wait_prompt()
    assert ask(linux, "inspect job")["job"]["running"]
    linux.shell("keelctl kill job; keelctl rm job")


def test_detached_without_input_has_none(linux):
    start_answers(linux, "-d")
    assert run(linux, "keelctl wait job; keelctl rm job") == ("4", 0)


def test_bytes_that_nobody_has_read_are_counted(linux):
    """A peer whose console nobody reads writes more than is kept: how much is missing stands where it is missing."""
    linux.shell("keelctl console -a -t 0.5 lua </dev/null")
    line = ("local t = os.clock() repeat until os.clock() - t > 1 print(string.rep('x', 20000)) print('ov' .. 'er') "
            "io.open('/mnt/over', 'w'):close()")
    linux.shell(f"echo \"{line}\" | keelctl console -t 0 lua >/dev/null; until [ -e /mnt/over ]; do :; done; rm /mnt/over")
    output, status = run(linux, "keelctl console -a -t 0.5 lua </dev/null >o; head -n 1 o; tail -n +2 o | wc -c; grep -c '^over' o; rm o")
    found = re.fullmatch(r"\[(\d+) bytes lost\]\n8192\n1", output)
    assert status == 0 and found, output
    assert 20006 - 8192 <= int(found.group(1)) <= 20006 - 8192 + 16
