# SPDX-License-Identifier: MIT
"""Keel's main job, in one boot: Lua counts words of Linux's files, writes its result beside them,
answers lines on its console, and is refused what its policy does not grant.
"""
import re
import shutil
import subprocess

import pytest
from conftest import CPUS, IMAGES, TOP
from systems import channel, copy_disk, log_text, make_bundle, partition, start_shared, system, wait_said

pytestmark = pytest.mark.group("job")

POLICY = "ro /mnt/README.md\nrw /mnt/own\n"
# What a peer gets for paths it has no right to, and for those that do not exist.
PROBE = """
local function try(path, mode) print("open", path, mode, select(2, io.open(path, mode))) end
try("/etc/passwd", "r") try("/mnt/words.txt", "r") try("/mnt/own/../words.txt", "r")
try("/mnt/README.md", "w") try("/mnt/own/link", "r") try("/mnt/own/none", "r")
print("rename", select(2, os.rename("/mnt/own/a", "/mnt/b"))) print("remove", select(2, os.remove("/mnt/words.txt")))
print("own", io.open("/mnt/own/made", "w"):write("made by Lua"):close())
print("back", io.open("/mnt/own/made"):read("a"))
print("README", #io.open("/mnt/README.md"):read("a"))
print("done")
"""


def counted(text):
    """The lines of a run that say what was counted; the time is not compared."""
    return [line for line in text.splitlines() if re.match(r"\S+: \d+ lines, \d+ words", line)]


def peer_lines(text):
    """What the peer said. A prompt of Linux's may stand before it in its line."""
    return re.findall(r"\[lua\] (.*)", text)


class Demo:
    """The everyday system, booted once; what it left behind after power-off."""

    def __init__(self, folder):
        self.folder, self.disk = folder, copy_disk(folder)
        linux = self.linux = start_shared("job-system", "--disk", str(self.disk), "--bundle", str(IMAGES / "test.bundle"))
        linux.wait_prompt()
        wait_said(linux, r"\[lua\] result\.txt")	# the tests below say what is missing
        linux.send("\r")
        linux.wait_prompt()
        self.ps, self.caps = linux.shell("keelctl ps"), linux.shell("keelctl caps")
        self.answers = linux.shell("printf '6*7\\nx = \"kept\"\\nx\\nerror(\"oops\")\\n1 =\\n' | keelctl console -t 3 lua")
        self.again = linux.shell("echo 'string.rep(x, 2)' | keelctl console -t 3 lua")
        self.log = linux.shell("keelctl log | sed 's/^/: /'")
        self.dmesg = linux.shell("dmesg")
        linux.shell("echo exit | keelctl console -t 5 lua")
        self.ps_ended = linux.shell("keelctl ps")
        linux.shell("keelctl restart lua")
        self.restarted = wait_said(linux, r"\[lua\] result\.txt written", 2)
        linux.send("\r")
        linux.wait_prompt()
        linux.send("exit 9\r")
        self.status = linux.wait_exit()
        self.text = log_text(linux)

    def debugfs(self, command):
        return subprocess.run(["debugfs", "-R", command, self.disk], capture_output=True, check=True,
                              env={"PATH": "/usr/sbin:/sbin:/usr/bin"}).stdout


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    done = Demo(folder)
    yield done
    done.linux.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """The same program on the same files, run by Debian's Lua here."""
    folder = tmp_path_factory.mktemp("expected")
    for name in ("README.md", "words.txt"):
        with open(folder / name, "wb") as out:
            subprocess.run(["/usr/sbin/debugfs", "-R", f"cat {name}", IMAGES / "demo.img"], stdout=out,
                           stderr=subprocess.DEVNULL, check=True)
    run = subprocess.run(["lua5.4", TOP / "images/demo/demo.lua", folder], input="exit\n", capture_output=True,
                         text=True, check=True)
    return counted(run.stdout), (folder / "result.txt").read_bytes()


def test_counts_as_lua_elsewhere(demo, expected):
    """The lines it prints are those Debian's lua5.4 prints for the same files."""
    lines = counted("\n".join(peer_lines(demo.text)))
    assert len(expected[0]) == 2
    assert lines[:2] == expected[0]


def test_result_is_on_the_disk(demo, expected):
    """After power-off, result.txt in the file system holds the same bytes."""
    assert demo.debugfs("cat result.txt") == expected[1]


def test_disk_is_clean(demo):
    """The file system was unmounted in order: a check finds nothing to do."""
    check = subprocess.run(["/usr/sbin/e2fsck", "-fn", demo.disk], capture_output=True, text=True)
    assert check.returncode == 0, check.stdout
    assert "recovering journal" not in check.stdout + check.stderr


def test_status_comes_out(demo):
    """The shell's status is the machine's."""
    assert demo.status == 9


def test_console_answers(demo):
    """`keelctl console lua` evaluates lines: values, kept variables, errors of both kinds."""
    for answer in (r"^(lua> )*42$", r"^(lua> )*kept$", r"oops$", r"syntax error near '='|unexpected symbol near"):
        assert re.search(answer, demo.answers.replace("\r", ""), re.M), answer


def test_console_keeps_state(demo):
    """A second visit finds what the first one set."""
    assert "keptkept" in demo.again


def test_ps_shows_partitions(demo):
    """Both partitions, in ring 1, with their CPUs and memory."""
    for name, cpus, memory in (("linux", CPUS, r"\d{3}M"), ("lua", 1, "2M")):
        assert re.search(rf"^{name} +(running|blocked) +1 +{cpus} +8 +{memory} ", demo.ps.replace("\r", ""), re.M), demo.ps


def test_caps_show_channel(demo):
    """Linux holds both partitions and serves the channel, whose sides are up."""
    assert re.search(r"channel +serve +lua +server up, client up, generation \d+, window 1M", demo.caps)


def test_log_is_readable_in_linux(demo):
    """keelctl log begins as the serial port does."""
    first = next(line for line in demo.text.splitlines() if line.startswith("[keel] "))
    assert first in demo.log


def test_linux_knows_its_hypervisor(demo):
    """dmesg says what Linux runs on, and nothing in it is a warning of the kernel's own checks."""
    assert "Hypervisor detected: Keel" in demo.dmesg
    assert not re.findall(r"WARNING: |BUG: |Oops|Call Trace", demo.dmesg)


def test_ended_peer_is_shown(demo):
    """`exit` on its console ends Lua: exited, with its status."""
    assert re.search(r"^lua +exited .* status 0", demo.ps_ended.replace("\r", ""), re.M), demo.ps_ended


def test_restart_runs_it_again(demo, expected):
    """keelctl restart: the same program, the same result, in the same window."""
    assert demo.restarted
    lines = counted("\n".join(peer_lines(demo.text)))
    assert lines == expected[0] * 2


# --- what the policy refuses ---------------------------------------------------------------------------

@pytest.fixture(scope="module")
def probe(tmp_path_factory):
    """Output of PROBE under POLICY, as {first word and path: rest}, and whether Linux was well after."""
    folder = tmp_path_factory.mktemp("probe")
    init = "#!/bin/sh\nmkdir -p /mnt/own; ln -sf /etc/passwd /mnt/own/link;\n" \
           "keeld </dev/null >/tmp/keeld.log 2>&1 &\n" \
           "until keelctl ps | grep -q '^lua  *exited'; do sleep 0.1; done; exit 0\n"
    made = make_bundle(folder, system(partition("lua", cmdline="lua /boot/probe.lua", modules="probe.lua"), channel("lua")),
                       {"probe.lua": PROBE}, {"etc/keel/lua.policy": POLICY, "probe": init})
    disk = copy_disk(folder)
    linux = start_shared("job-probe", "--disk", str(disk), "--bundle", made, append="quiet keel.run=/probe", timeout=200)
    try:
        status = linux.wait_exit()
    finally:
        linux.stop()
        shutil.rmtree(folder, ignore_errors=True)
    lines = [line.partition("\t")[::2] for line in peer_lines(log_text(linux))]
    return status, [(first, re.split(r"\t+", rest)) for first, rest in lines]


def answers(probe, path):
    return [" ".join(rest[1:]) for first, rest in probe[1] if first == "open" and rest[0] == path]


@pytest.mark.parametrize("path", ["/etc/passwd", "/mnt/words.txt", "/mnt/own/../words.txt", "/mnt/README.md",
                                  "/mnt/own/link"],
                         ids=["outside-policy", "beside-policy", "dot-dot-out", "write-to-read-only", "link-out"])
def test_permission_denied(probe, path):
    """nil and the reason, not a stopped program."""
    assert answers(probe, path) and re.search(r"Permission denied|Invalid cross-device link", answers(probe, path)[0])


def test_no_such_file(probe):
    """A file that could be there but is not."""
    assert "No such file or directory" in answers(probe, "/mnt/own/none")[0]


def test_peer_runs_on(probe):
    """After all refusals, what is granted still works, to the end of the script."""
    said = [(first, rest) for first, rest in probe[1]]
    assert ("back", ["made by Lua"]) in said
    assert any(first == "README" and int(rest[0]) > 100 for first, rest in said)
    assert probe[0] == 0


def test_names_are_refused_too(probe):
    """rename and remove ask for the same rights."""
    for what in ("rename", "remove"):
        assert any(first == what and "denied" in " ".join(rest) for first, rest in probe[1]), probe[1]
