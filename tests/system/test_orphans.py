# SPDX-License-Identifier: MIT
"""Detached partitions whose processes in Linux are killed: they run on, and others go on with them by name.

Failure looks like a partition that ends with its keeper, calls that hang or files that stay away afterwards, two keepers, a status that nobody
knows, or memory that Linux does not get back.
"""
import re

import pytest
from systems import start_keelctl
from test_ctl import CLEAR, ask, by_name
from test_run import LEFT, put, run

pytestmark = [pytest.mark.group("run"), pytest.mark.limit(240)]

# Holds a file of its first server, waits for a sign from Linux by asking for it, and then uses both.
ALIVE = """
local held = assert(io.open("held"))
io.write("up\\n") io.flush()
repeat local sign = io.open("sign") until sign
print("held", select(2, held:read("l")))
print("opened", io.open("held"):read("l"))
io.stderr:write("err\\n")
os.exit(7)
"""
TOOLS = ("worker() { grep -l \"^PPid:.$1\\$\" /proc/[0-9]*/status 2>/dev/null | cut -d/ -f3; }; "
         "until_gone() { while [ -d /proc/$1 ]; do :; done; }")
FREE = ("sync; echo 3 >/proc/sys/vm/drop_caches; "
        "awk '/nr_free_pages|^ +count:/ { n += $2 } END { print n * 4 }' /proc/zoneinfo")


@pytest.fixture(scope="module", name="linux")
def shared_machine():
    linux = start_keelctl("orphans", 1200)
    linux.shell(TOOLS)
    put(linux, "alive.lua", ALIVE)
    put(linux, "held", "text\n")
    yield linux
    linux.stop()


@pytest.fixture(autouse=True)
def nothing_is_left(linux):
    before = linux.shell(LEFT)
    yield
    after = linux.shell(LEFT)
    if after != before:
        linux.shell(CLEAR)
    assert after == before


def start(linux, name="job", options="", program="alive.lua"):
    """A detached partition that runs -> its keeper's process ID."""
    assert run(linux, f"rm -f sign; keelctl run -d --name {name} {options} lua {program}") == (name, 0)
    if program == "alive.lua":
        linux.shell(f"until keelctl logs {name} | grep -q up; do :; done")
    return ask(linux, f"inspect {name}")["job"]["keeper"]


def finish(linux, name="job"):
    """Gives the sign; all it has printed is there, what needed its first server has failed."""
    assert run(linux, f"touch sign; keelctl wait {name}") == ("7", 0)
    said = linux.shell(f"keelctl logs {name}")
    assert sorted(line for line in said.split("\n") if not line.startswith("keelctl: ")) == \
        sorted(["up", "held\tI/O error\t5", "opened\ttext", "err"]), said
    linux.shell(f"keelctl rm {name}")
    return said


def state(linux, name="job"):
    """As the metakernel has it: without a look at jobs, which would adopt -> the channel's line of caps."""
    return re.search(rf"^ +\d+ channel +\w+ +{name} .*$", linux.shell("keelctl caps"), re.M)


def test_worker_is_killed(linux):
    """Its keeper starts another one; what was open is lost."""
    keeper = start(linux)
    linux.shell(f"w=$(worker {keeper}); kill -9 $w; until [ \"$(worker {keeper})\" -a \"$(worker {keeper})\" != $w ]; do :; done")
    said = finish(linux)
    assert "keelctl: job: the process that served its files has ended (signal 9), another one does it now" in said


def test_what_was_printed_before_is_not_lost(linux):
    """A server dies with output that its keeper has not taken from it yet: it is in the log, before what comes then."""
    put(linux, "last.lua", "repeat local sign = io.open('sign') until sign print(('x'):rep(30000)) io.flush() io.open('done', 'w'):close() "
                           "repeat local _, _, e = io.open('sign') until e == 2 os.exit(7)")		# ENOENT, not EIO
    keeper = start(linux, program="last.lua")
    linux.shell(f"w=$(worker {keeper}); kill -STOP {keeper}; touch sign; until [ -e done ]; do :; done; kill -9 $w; kill -CONT {keeper}; "
                "rm done; until keelctl logs job | grep -q 'another one'; do :; done; rm sign; keelctl wait job; keelctl logs job >log; keelctl rm job")
    assert linux.shell("head -n 1 log | wc -c; tail -n +2 log; rm log") == \
        "30001\nkeelctl: job: the process that served its files has ended (signal 9), another one does it now"


def test_worker_is_killed_of_a_run_in_the_foreground(linux):
    """The same without a log: its streams are there again."""
    linux.shell("rm -f sign; (keelctl run --name fore lua alive.lua >out 2>err; echo $? >status) & "
                "until grep -q up out; do :; done; k=$(worker $!); kill -9 $(worker $k); sleep 0.5; touch sign; wait")
    assert linux.shell("cat out status") == "up\nheld\tI/O error\t5\nopened\ttext\n7"
    assert linux.shell("cat err").split("\n") == \
        ["keelctl: fore: the process that served its files has ended (signal 9), another one does it now", "err"]
    linux.shell("rm out err status")


def test_worker_that_is_killed_again_and_again(linux):
    """Not for ever: who kills its server as fast as it comes ends with that."""
    linux.shell("keelctl run --name fore lua -e 'while true do end' 2>err & p=$!; sleep 1; "
                "while [ -d /proc/$p ]; do kill -9 $(worker $p) 2>/dev/null; done; wait $p", timeout=100)
    assert linux.status == 125
    lines = linux.shell("cat err; rm err").split("\n")
    again = "keelctl: fore: the process that served its files has ended (signal 9)"
    # TODO(keelctl): once in some ten runs it ends without its last line. That it is always there is to be shown.
    assert 1 < len(lines) <= 6 and all(line.startswith(again) for line in lines)


def test_keeper_is_killed(linux):
    """The partition runs on without a server; adopted by name, it has its files again, and its end is known."""
    keeper = start(linux)
    linux.shell(f"w=$(worker {keeper}); kill -9 {keeper}; until_gone $w")
    assert "server down" in state(linux).group()
    linux.shell("keelctl ps")				# any command that is about partitions
    before = ask(linux, "inspect job")
    assert before["job"]["running"] and before["job"]["keeper"] != keeper and before["partition"]["state"] in ("running", "blocked")
    assert "server up" in state(linux).group()
    finish(linux)


def test_adopt_by_name(linux):
    """One of several that try at once; who is looked after is nobody's to adopt."""
    keeper = start(linux)
    assert run(linux, "keelctl adopt job 2>&1") == ("keelctl: adopt job: there is no such partition, or somebody looks after it", 1)
    linux.shell(f"w=$(worker {keeper}); kill -9 {keeper}; until_gone $w")
    output, _ = run(linux, "for i in 1 2 3 4; do keelctl adopt job 2>/dev/null & done; wait")
    assert output == "job"
    finish(linux)
    assert run(linux, "keelctl adopt nobody 2>/dev/null; keelctl adopt")[1] == 0


def test_all_of_linux_that_serves_is_killed(linux):
    """kill -9 of keeld, keepers and workers at once; keeld, started again, has everything served again."""
    start(linux, "one")
    start(linux, "two")
    linux.shell("p=$(pidof keeld keelctl); kill -9 $p; for i in $p; do until_gone $i; done; "
                "until keelctl caps | grep -q 'channel.* lua  server down'; do :; done")
    for name in ("one", "two"):
        assert "server down" in state(linux, name).group()
    linux.shell("(keeld -l /tmp/keeld.log </dev/null >/dev/null 2>&1 &); "
                "until [ $(keelctl caps | grep -c 'channel.*server up') = 3 ]; do :; done")
    assert len(linux.shell("pidof keeld").split()) == 2		# itself and the manifest's Lua: the others have their own
    finish(linux, "one")
    finish(linux, "two")


def test_ended_while_nobody_looked(linux):
    """Its status is what it was, whoever asks; and kill -9 while somebody waits for it does not keep that from him."""
    keeper = start(linux, program="-e 'for i = 1, 3e7 do end os.exit(9)'")
    linux.shell(f"kill -9 {keeper}")
    assert run(linux, "until keelctl log | grep -q 'job: exited: status 9'; do :; done; keelctl wait job; keelctl rm job") == ("9", 0)
    keeper = start(linux)
    assert run(linux, f"keelctl wait job & kill -9 {keeper}; touch sign; wait $!") == ("7", 0)
    linux.shell("keelctl rm job")


def test_orphan_is_killed_and_its_memory_is_back(linux):
    """Nobody in Linux touches or frees it meanwhile; afterwards it is all there again."""
    linux.shell("keelctl run -m 64M lua -e ''")
    before = int(linux.shell(FREE))
    keeper = start(linux, options="-m 64M")
    linux.shell(f"w=$(worker {keeper}); kill -9 {keeper}; until_gone $w")
    assert before - int(linux.shell(FREE)) > 60 << 10
    assert run(linux, "keelctl kill job; keelctl wait job; keelctl rm job") == ("137", 0)
    assert any(int(linux.shell(FREE)) > before - before // 100 for _ in range(20))


def test_adopted_again_and_again(linux):
    """Ten keepers, one after the other, for one partition."""
    keeper = start(linux)
    for _ in range(10):
        linux.shell(f"kill -9 {keeper}")
        keeper, last = ask(linux, "inspect job")["job"]["keeper"], keeper
        assert keeper != last and keeper
    assert by_name(ask(linux, "ps"))["job"]["state"] in ("running", "blocked")
    finish(linux)


MOMENTS = " ".join(f"0.{n:02d}" for n in range(1, 25))


def test_killed_while_it_starts(linux):
    """kill -9 of all that keelctl is, at any moment of a start: there is no partition, or one that can be adopted; rm leaves nothing, once who was killed has gone."""
    linux.shell(f"for d in {MOMENTS}; do keelctl run -d --name job lua -e 'while true do end' >/dev/null 2>&1 & sleep $d; "
                "kill -9 $(pidof keelctl) 2>/dev/null; wait $!; keelctl kill job 2>/dev/null; keelctl wait job >/dev/null 2>&1; "
                "keelctl rm job 2>/dev/null; done", timeout=120)
    assert run(linux, "keelctl ps | grep job; ls /run/keel/job.* 2>/dev/null")[0] == ""
    assert run(linux, "keelctl run --name job lua -e 'print(1)'") == ("1", 0)


def test_killed_while_it_is_adopted(linux):
    """The same for who adopts: the next one finds an orphan again."""
    start(linux)
    linux.shell(f"for d in {MOMENTS}; do kill -9 $(pidof keelctl) 2>/dev/null; keelctl adopt >/dev/null 2>&1 & sleep $d; done; wait $!; keelctl adopt",
                timeout=120)
    assert ask(linux, "inspect job")["job"]["running"]
    finish(linux)


def test_failed_start_leaves_nothing(linux):
    """What goes wrong after the name is taken gives it up."""
    output, status = run(linux, "keelctl run -d --name job -m 100K lua 2>&1; ls /run/keel/job.* 2>/dev/null")
    assert "-m 100K is too little" in output and "/run/keel" not in output
    assert run(linux, "keelctl run -d --rm --name job lua -e ''; keelctl wait job 2>/dev/null; true") == ("job", 0) or status
