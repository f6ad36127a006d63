# SPDX-License-Identifier: MIT
"""`keelctl run` as somebody at the prompt types it: a program from one line to its exit status, and nothing left behind.

One machine for all tests of the file. Failure looks like another output or status, or like a partition, a file, a process or memory of Linux
that a run has not given back.
"""
import base64
import re
import struct

import pytest
from conftest import FULL
from systems import start_keelctl

pytestmark = [pytest.mark.group("run"), pytest.mark.limit(240)]

CAT = "while true do local s = io.read(65536) if not s then break end io.write(s) end"
PEER_VA = 0x400000
LEFT = ("keelctl ps | tail -n +2 | wc -l; ls -d /run/keel/*; "
        "ps | grep -c '[k]eelctl'")


@pytest.fixture(scope="module", name="linux")
def shared_machine():
    limit = 2400 if FULL else 900
    linux = start_keelctl("run", limit, limit)
    yield linux
    linux.stop()


@pytest.fixture(autouse=True)
def nothing_is_left(linux):
    """Whatever a test runs, what the machine has afterwards is what it had before."""
    before = linux.shell(LEFT)
    yield
    assert linux.shell(LEFT) == before


def put(linux, name, text):
    """A file in Linux with these bytes."""
    data = base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()
    linux.shell(f"echo {data} | base64 -d >{name}")
    assert linux.status == 0


def run(linux, command, timeout=60):
    """-> (output, status) of a command line. By way of a file: the metakernel's own lines come when they come."""
    output = linux.shell(f"{{ {command}; }} >/tmp/said; s=$?; cat /tmp/said; echo; (exit $s)", timeout)
    return output, linux.status


def program(code, version=2, shared=False):
    """An ELF image with the note of this version (0: none) and this machine code, which may be shared, and nothing else."""
    notes = struct.pack("<III8sII", 5, 8, 2, b"Keel", version, 0) + (struct.pack("<III8s", 5, 0, 3, b"Keel") if shared else b"")
    at = 64 + 2 * 56 + len(notes)
    ehdr = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 2, 62, 1, PEER_VA + at, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    size = at + len(code)
    phdr = struct.pack("<IIQQQQQQ", 1, 5, 0, PEER_VA, PEER_VA, size, size, 4096)
    note = at - len(notes)
    phdr += struct.pack("<IIQQQQQQ", 4 if version else 0, 4, note, PEER_VA + note, PEER_VA + note, len(notes), len(notes), 4)
    return ehdr + phdr + notes + code


# --- what it prints, what it reads, what it says at its end ------------------------------------------

def test_pipe_example(linux):
    """The line of the manual, as it stands there, by a new user in / too."""
    for place in ("/tmp/work", "/"):
        assert run(linux, f"cd {place}; echo 'print(io.read(\"n\")*2)' > a.lua; echo 21 | keelctl run lua a.lua") == ("42", 0)
        linux.shell("rm a.lua; cd /tmp/work")


def test_exit_status_is_its_own(linux):
    assert run(linux, "keelctl run lua -e 'os.exit(3)'") == ("", 3)
    assert run(linux, "keelctl run lua -e 'print(1)'") == ("1", 0)
    output, status = run(linux, "keelctl run lua -e 'error(\"so\")' 2>&1")
    assert status == 1 and "so" in output


def test_standard_error_is_apart(linux):
    assert run(linux, "keelctl run lua -e 'io.stderr:write(\"bad\") print(\"good\")' 2>e; cat e") == ("good\nbad", 0)


def test_arguments_and_environment(linux):
    """Words of any kind arrive as they are."""
    put(linux, "args.lua", "for i = 1, #arg do print('<' .. arg[i] .. '>') end print(os.getenv('A'), os.getenv('PWD'))")
    output, status = run(linux, "keelctl run -e A='x  y' lua args.lua \"it's\" 'say \"hi\"' '' '  two '")
    assert (output, status) == ("<it's>\n<say \"hi\">\n<>\n<  two >\nx  y\t/tmp/work", 0)


def test_ten_megabytes_through_it(linux):
    """Random bytes through standard input and output, from files and from pipes, unchanged."""
    put(linux, "cat.lua", CAT)
    linux.shell("dd if=/dev/urandom of=r bs=1M count=10 2>/dev/null")
    want = linux.shell("sha256sum <r")
    assert run(linux, "keelctl run lua cat.lua <r >out; sha256sum <out") == (want, 0)
    assert run(linux, "cat r | keelctl run lua cat.lua | cat | sha256sum") == (want, 0)
    linux.shell("rm r out")


def test_budget(linux):
    """Above Linux, with a budget, a program that computes gets on, and so does Linux beside one that never ends."""
    assert run(linux, "keelctl run --prio 31 --budget 2ms/10ms lua -e 'local n = 0 for i = 1, 1e5 do n = n + i end print(n)'") == ("5000050000", 0)
    name = linux.shell("keelctl run -d --rm --prio 31 --budget 2ms/10ms lua -e 'while true do end'")
    assert name == "lua-1" and linux.shell("echo $((6*7))") == "42"
    linux.shell(f"keelctl stop {name}; keelctl wait {name}")


def test_reader_that_leaves(linux):
    assert run(linux, "keelctl run lua -e 'repeat until not io.write((\"x\"):rep(4096))' | head -c 3") == ("xxx", 0)


# --- files ---------------------------------------------------------------------------------------------

def test_files_are_what_is_granted(linux):
    """Without -v the current directory; with it only what it names."""
    linux.shell("mkdir -p /tmp/other; echo secret >/tmp/other/f; echo here >f")
    put(linux, "open.lua", "for i = 1, #arg do local f, why = io.open(arg[i]) print(f and f:read() or why) end")
    assert run(linux, "keelctl run lua open.lua f /tmp/other/f") == ("here\n/tmp/other/f: Permission denied", 0)
    assert run(linux, "keelctl run -v /tmp/other:/o:ro -v /tmp/work lua open.lua /o/f f") == ("secret\nhere", 0)
    output, _ = run(linux, "keelctl run -v /tmp/other:/o:ro -w /o lua -e "
                    "'print(io.open(\"f\"):read(), io.open(\"f\", \"w\"))'")
    assert re.match(r"secret\tnil\tf: (Permission denied|Read-only file system)", output)
    assert linux.shell("keelctl run lua -e 'io.open(\"new\", \"w\"):write(\"x\")'; cat new; rm new") == "x"
    linux.shell("rm -r /tmp/other")


# --- what is wrong is one line, and a status as container tools have them ---------------------------------

WRONG_CPUS = "lua-1: the metakernel does not take it: --cpus, --vcpus, or --prio above Linux's without a --budget"
REFUSED = {
    "no-image": ("nothing", 127, "nothing: there is no such image (keelctl images lists them)"),
    "no-file": ("./nothing", 127, "./nothing: there is no such file"),
    "not-an-elf": ("/etc/passwd", 126, "/etc/passwd: not an ELF image"),
    "empty-file": ("/tmp/empty", 126, "/tmp/empty: not an ELF image: it is empty"),
    "directory-as-image": ("/tmp", 126, "/tmp: not a file"),
    "wrong-size": ("-m 8X lua", 125, "-m 8X: expected a size such as 64M, at most 1024M"),
    "more-than-the-most": ("-m 2G lua", 125, "-m 2G: expected a size such as 64M, at most 1024M"),
    "too-much-memory": ("-m 1024M lua", 125, "lua-1: Linux has no 1048576K of memory in one piece to give away"),
    "memory-that-linux-needs": ("-m 450M lua", 125, "lua-1: Linux has no 460800K of memory in one piece to give away"),
    "too-little-memory": ("-m 100K lua", 125, r"-m 100K is too little for lua: it takes \d+K, and page tables, before it has any for itself"),
    "no-such-cpu": ("--cpus 60 lua", 125, WRONG_CPUS),
    "no-cpus": ("--cpus none lua", 125, "--cpus none: expected numbers of CPUs, such as 1-3 or 0,2"),
    "too-many-vcpus": ("--vcpus 65 lua", 125, "--vcpus 65: expected a number, 1 to 64"),
    "above-linux": ("--prio 9 lua", 125, WRONG_CPUS),
    "no-priority": ("--prio 32 lua", 125, "--prio 32: expected a number, 0 to 31"),
    "wrong-budget": ("--budget 10ms/2ms lua", 125,
                     "--budget 10ms/2ms: expected a time in a period, such as 2ms/10ms: 10us at least, in 100us to 10s"),
    "too-much-budget": ("--budget 96ms/100ms lua", 125, r"lua-1: --budget: the CPUs have not so much left \(95 % of each is to be had\)"),
    "no-directory": ("-v /none lua", 125, "-v: /none: No such file or directory"),
    "no-workdir": ("-w /none lua", 125, r"-w /none: not in a directory that it may use \(-v\)"),
    "no-workdir-in-a-volume": ("-v /tmp -w /tmp/none lua", 125, "-w /tmp/none: No such file or directory"),
    "wrong-mode-of-a-volume": ("-v /tmp:/x:rx lua", 125, r"-v /tmp:/x:rx: expected DIR\[:PATH\[:ro\]\]"),
    "wrong-environment": ("-e =1 lua", 125, "-e =1: expected NAME=VALUE"),
    "wrong-name": ("--name A lua", 125, "--name A: expected at most 31 of a-z, 0-9, - and _"),
    "name-in-use": ("--name lua lua", 125, r"lua: the name is in use \(keelctl ps\)"),
    "wrong-restart": ("--restart often lua", 125, r"--restart often: expected no, on-failure\[:N\] or always"),
    "wrong-watchdog": ("--watchdog 0 lua", 125, "--watchdog 0: expected seconds, such as 5, 5:log, 5:restart or 5:stop"),
    "too-many-arguments": ("lua $(seq 1000)", 125, "arguments and environment are longer than 2047 bytes"),
    "wrong-option": ("--what lua", 125, None),		# getopt's words
    "nothing-to-run": ("", 125, r"run: which image\? \(keelctl images lists them\)"),
    "no-terminal": ("-t lua </dev/null", 125, "run -t: standard input is no terminal"),
    "no-terminal-when-detached": ("-dt lua", 125, "run -t: not with -d"),
    "no-image-detached": ("-d nothing", 127, "nothing: there is no such image (keelctl images lists them)"),
    "name-in-use-detached": ("-d --name lua lua", 125, r"lua: the name is in use \(keelctl ps\)"),
    "too-little-memory-detached": ("-d -m 100K lua", 125, "-m 100K is too little for lua: .*"),
    "too-much-memory-detached": ("-d -m 1024M lua", 125, "lua-1: Linux has no 1048576K of memory in one piece to give away"),
}


@pytest.mark.parametrize("command, status, line", REFUSED.values(), ids=REFUSED)
def test_refused(linux, command, status, line):
    """Exactly this line, this status, and (nothing_is_left) nothing else."""
    linux.shell("touch /tmp/empty")
    output, got = run(linux, f"keelctl run {command} 2>&1")
    wanted = "keelctl run: unrecognized option '--what'" if line is None else f"keelctl: {line}"
    assert got == status and (output == wanted or re.fullmatch(wanted, output)), output


@pytest.mark.parametrize("change, word", [((18, b"\xb7"), "wrong machine"), ((16, b"\x03"), "dynamic"), ((64, b"\x03"), "dynamic")],
                         ids=["wrong-machine", "position-independent", "dynamic"])
def test_wrong_elf(linux, change, word):
    image = bytearray(program(b"\x0f\x0b"))
    image[change[0]:change[0] + 1] = change[1]
    put(linux, "wrong.elf", bytes(image))
    output, status = run(linux, "keelctl run ./wrong.elf 2>&1")
    assert status == 126 and word in output and "\n" not in output


@pytest.mark.parametrize("version", [0, 1, 3], ids=["without-a-note", "of-abi-1", "of-abi-3"])
def test_other_abi(linux, version):
    """An image made for another version of the ABI is not started. Those of version 1 had no note."""
    put(linux, "other.elf", program(b"\x0f\x0b", version))
    output, status = run(linux, "keelctl run ./other.elf 2>&1")
    assert status == 126 and f"made for version {version or 1} of Keel's ABI, this is version 2" in output and "\n" not in output


@pytest.mark.parametrize("code, status, word", [
    (b"\x0f\x0b", 132, "vector 6"),				# ud2
    (b"\x31\xc0\x89\x00", 139, "vector 14"),			# mov [0], eax
    (b"\x31\xc9\xf7\xf1", 136, "vector 0"),			# div ecx, of 0
    (b"\xb8\x12\0\0\0\xbf\x03\0\0\0\xbe\x07\0\0\0\xcd\x0f", 7, ""),	# KEEL_HC_SHUTDOWN(EXIT, 7)
    (b"\xb8\x12\0\0\0\xbf\x02\0\0\0\xcd\x0f", 134, "keelctl: "),	# KEEL_HC_SHUTDOWN(CRASH)
], ids=["undefined-instruction", "page-fault", "division-by-zero", "image-of-ones-own", "crash"])
def test_end(linux, code, status, word):
    """A fault is 128 and the signal that Linux would have sent, and a line that says what happened."""
    put(linux, "own.elf", program(code))
    output, got = run(linux, "keelctl run ./own.elf 2>&1")
    assert got == status and word in output and len(output.split("\n")) == 1, output
    assert not word or output.startswith("keelctl: own-1: ")


def test_ctrl_c_ends_it(linux):
    """On the terminal, and by a signal from elsewhere."""
    linux.send("keelctl run lua -e 'print(\"bu\" .. \"sy\") io.flush() while true do end'; echo status-$?\r")
    linux.expect(r"busy")
    linux.send("\x03")
    linux.expect(r"status-130\s")
    linux.wait_prompt()
    assert run(linux, "timeout -s TERM 1 keelctl run lua -e 'while true do end'; echo $?")[0] == "143"
    # A read that waits does not keep it.
    assert run(linux, "mkfifo q; sleep 100 >q & timeout -s INT 1 keelctl run lua -e 'io.read()' <q; echo $?; kill $!; rm q")[0] == "130"


def test_killed_is_given_back(linux):
    """kill -9 of keelctl: the partition and its worker go with it."""
    linux.shell("keelctl run --name gone lua -e 'while true do end' & sleep 1; kill -9 $!; wait $!")
    assert linux.status == 137
    for _ in range(50):
        if "gone" not in linux.shell("keelctl ps; ps") and "keelctl" not in linux.shell("ps"):
            break
    assert "gone" not in linux.shell("keelctl ps")


# --- detached ---------------------------------------------------------------------------------------------

def test_detached(linux):
    """It says its name; what it prints is in its log; its status can be asked for, once it has ended."""
    assert run(linux, "keelctl run -d --name job lua -e 'print(\"out\") io.stderr:write(\"err\\n\") print(io.read()) os.exit(5)'") == ("job", 0)
    assert run(linux, "keelctl wait job") == ("5", 0)
    assert run(linux, "keelctl logs job") == ("out\nerr\nnil", 0) or run(linux, "keelctl logs job") == ("err\nout\nnil", 0)
    output, status = run(linux, "keelctl run -d --name job lua 2>&1")
    assert status == 125 and "in use" in output
    assert run(linux, "keelctl rm job; keelctl logs job 2>&1") == ("keelctl: logs job: no such detached partition", 1)


def test_detached_and_stopped(linux):
    name, status = run(linux, "keelctl run -d lua -e 'while true do end'")
    assert status == 0 and re.fullmatch(r"lua-\d+", name)
    assert name in linux.shell("keelctl ps")
    output, status = run(linux, f"keelctl rm {name} 2>&1")
    assert status == 1 and "it is running" in output
    assert run(linux, f"keelctl kill {name}; keelctl wait {name}; keelctl rm {name}") == ("137", 0)


def test_detached_leaves_nothing_with_rm(linux):
    assert run(linux, "keelctl run -d --rm --name short lua -e 'print(1)'") == ("short", 0)
    linux.shell("keelctl wait short 2>/dev/null; ls /run/keel/short.*")
    assert linux.status != 0


def test_log_follows_to_the_end(linux):
    linux.shell("keelctl run -d --name tell lua -e 'for i = 1, 20000 do print(i) end'")
    output, status = run(linux, "keelctl logs -f tell | tail -n 1; keelctl logs tell | wc -c; keelctl rm tell")
    assert status == 0 and output.split() == ["20000", str(sum(len(str(i)) + 1 for i in range(1, 20001)))]


# --- again and again ----------------------------------------------------------------------------------------

def free_kib(linux):
    """MemFree, and with it what lies in the lists of CPUs ready for the next one: 8 MiB and more were seen there."""
    return int(linux.shell("sync; echo 3 >/proc/sys/vm/drop_caches; "
                           "awk '/nr_free_pages|^ +count:/ { n += $2 } END { print n * 4 }' /proc/zoneinfo").split()[0])


def settled_kib(linux):
    return max(free_kib(linux) for _ in range(5))	# the last run's is on its way back


def all_back(linux, before):
    """To 1 %, as soon as what is on its way back is there."""
    return any(free_kib(linux) > before - before // 100 for _ in range(20))


@pytest.mark.limit(1500)
def test_memory_comes_back(linux):
    """Thirty runs, in the full form 500, leave Linux what it had, and keeld no larger."""
    rounds = 500 if FULL else 30
    linux.shell("keelctl run lua -e ''")
    keeld = "cat $(for pid in $(pidof keeld); do echo /proc/$pid/status; done) | awk '/^VmRSS/ { n += $2 } END { print n }'"
    before, resident = settled_kib(linux), int(linux.shell(keeld))
    linux.shell(f"i=0; while [ $i -lt {rounds} ]; do keelctl run lua -e '' || break; i=$((i + 1)); done; [ $i -eq {rounds} ]", timeout=1200)
    assert linux.status == 0
    assert all_back(linux, before)
    assert 0 < int(linux.shell(keeld)) <= resident + 64


def test_linux_without_memory(linux):
    """What Linux needs itself is not given away: refused at once and in a line, nobody is killed for it; and then there is enough again."""
    linux.shell("mkdir /tmp/full; mount -t tmpfs -o size=90% full /tmp/full; n=0; "
                "while [ $(awk '/MemAvailable/ { print $2 }' /proc/meminfo) -gt 60000 ]; do dd if=/dev/zero of=/tmp/full/$n bs=1M count=4 2>/dev/null; n=$((n+1)); done")
    kills = linux.shell("grep oom_kill /proc/vmstat")
    for size in ("64M", "32M"):
        assert run(linux, f"keelctl run -m {size} lua -e '' 2>&1") == \
            (f"keelctl: lua-1: Linux has no {int(size[:-1]) << 10}K of memory in one piece to give away", 125)
    made = linux.shell("for i in 1 2 3 4 5 6 7 8; do keelctl run -d -m 8M lua -e 'while true do end' 2>/dev/null; done | wc -l")
    assert 0 < int(made) < 8
    assert linux.shell("grep oom_kill /proc/vmstat") == kills == "oom_kill 0"
    linux.shell("for j in /run/keel/*.job; do j=$(basename $j .job); keelctl kill $j; keelctl rm $j; done; umount /tmp/full; rmdir /tmp/full")
    assert run(linux, "keelctl run -m 64M lua -e 'print(1)'") == ("1", 0)


def test_several_at_once(linux):
    output, status = run(linux, "for i in 1 2 3 4; do (echo $i | keelctl run lua -e 'print(io.read(\"n\") * 100)') & done; wait")
    assert status == 0 and sorted(output.split("\n")) == ["100", "200", "300", "400"]


# --- more and less memory ----------------------------------------------------------------------------------

# Reads a size in KiB, holds that much in strings of about 64 KiB, says whether it could.
HOLD = """
for line in io.lines() do
  local held, ok = {}, true
  for i = 1, tonumber(line) // 64 do
    ok = pcall(function() held[i] = (tostring(i) .. " "):rep(13000) end)
    if not ok then break end
  end
  local n = #held
  held = nil
  collectgarbage() collectgarbage()
  io.write(ok and "held " or "no room ", n, "\\n")
  io.flush()
end
"""


def test_memory_comes_and_goes(linux):
    """100 times more memory and less again, each time used: Linux has it back, to the byte, and the partition its own."""
    put(linux, "hold.lua", HOLD)
    linux.shell("mkfifo to from; keelctl run --name grows lua hold.lua <to >from & exec 7>to 8<from")
    ask = "ask() { echo $1 >&7; read -r said <&8; echo $said; }; ask"
    assert linux.shell(f"{ask} 1024") == "held 16"
    assert linux.shell("ask 24576").startswith("no room")
    assert linux.shell("keelctl memory grows") == "8192K, of which it was made with 8192K"
    before = settled_kib(linux)
    linux.shell("n=0; while [ $n -lt 100 ]; do keelctl memory grows 40M && [ \"$(ask 24576)\" = 'held 384' ] || break;"
                " keelctl memory grows 8M && ask 64 >/dev/null; "
                " [ \"$(keelctl memory grows)\" = '8192K, of which it was made with 8192K' ] || break; n=$((n+1)); done", 200)
    assert linux.shell("echo $n; keelctl memory grows") == "100\n8192K, of which it was made with 8192K"
    assert linux.shell("ask 24576").startswith("no room")
    assert all_back(linux, before)
    linux.shell("exec 7>&- 8<&-; wait; rm to from")


def test_memory_of_one_that_ends(linux):
    """What was given later comes back with the rest, whatever state it is in."""
    before = settled_kib(linux)
    for _ in range(3):
        linux.shell("keelctl run -d --name ends lua -e 'while true do end'; keelctl memory ends 40M")
        assert linux.status == 0
        linux.shell("keelctl memory ends 8M; keelctl kill ends; keelctl wait ends; keelctl rm ends")
    assert all_back(linux, before)


@pytest.mark.parametrize("command, status, word", [
    pytest.param("keelctl memory nobody", 1, "no such partition", id="no-partition"),
    pytest.param("keelctl memory linux", 1, "not made by keelctl run", id="not-of-run"),
    pytest.param("keelctl memory linux 64M", 1, "not made by keelctl run", id="not-of-run-either"),
    pytest.param("keelctl memory m 4M", 1, "at least the 8192K it was made with", id="less-than-made-with"),
    pytest.param("keelctl memory m 0", 1, "expected a size", id="nothing"),
    pytest.param("keelctl memory m x", 1, "expected a size", id="no-size"),
    pytest.param("keelctl memory m 2G", 1, "at most 1G", id="too-much"),
    pytest.param("keelctl memory m 900M", 1, "no more to give", id="more-than-there-is"),
    pytest.param("keelctl memory m 8M 9M", 2, "usage", id="too-many-words"),
])
def test_memory_refused(linux, command, status, word):
    linux.shell("keelctl run -d --name m lua -e 'while true do end'")
    output, got = run(linux, f"{command} 2>&1")
    assert got == status and word in output.split("\n")[0]
    assert linux.shell("keelctl memory m") == "8192K, of which it was made with 8192K" or "900M" in command
    linux.shell("keelctl kill m; keelctl wait m; keelctl rm m")
