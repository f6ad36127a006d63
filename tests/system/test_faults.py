# SPDX-License-Identifier: MIT
"""A partition that does wrong ends alone, with a report; the others run on.

One boot has Linux and six peers that misbehave (tests/peer/peer.c); another kills keeld while Lua
reads; a third makes Linux panic beside a peer. Failure looks like a machine that stops (status 122,
123, 124), a report without reason or registers, or a peer that hangs.
"""
import re
import shutil
import subprocess

import pexpect
import pytest
from conftest import BUILD
from systems import (LINUX, Monitor, channel, copy_disk, log_text, make_bundle, partition, start_shared, system, wait_said)

pytestmark = pytest.mark.group("faults")

PEER = BUILD / "tests" / "peer" / "peer.elf"
KIB = 1 << 10


def peer(name, priority=8):
    return partition(name, "peer.elf", 512 * KIB, cmdline=name, priority=priority)


# --- peers that misbehave beside Linux -----------------------------------------------------------------

WORDS = ["wild", "privileged", "code", "memory", "panic", "exit"]


class Bad:
    def __init__(self, folder):
        made = make_bundle(folder, system("".join(map(peer, WORDS))), {"peer.elf": PEER})
        linux = self.linux = start_shared("faults-peers", "--bundle", made)
        linux.wait_prompt()
        self.ps, self.log = linux.shell("keelctl ps"), linux.shell("keelctl log | sed 's/^/: /'")
        linux.shell("keelctl restart wild; sleep 0.3")
        self.ps_again = linux.shell("keelctl ps")
        self.alive = linux.shell("echo $((6*7))")
        linux.send("exit 4\r")
        self.status = linux.wait_exit()
        self.text = log_text(linux)


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad")
    done = Bad(folder)
    yield done
    done.linux.stop()
    shutil.rmtree(folder, ignore_errors=True)


def symbols():
    text = subprocess.run(["nm", PEER], capture_output=True, text=True, check=True).stdout
    return sorted((int(a, 16), n.split(".")[0]) for a, _, n in re.findall(r"^(\w+) (\w) (\S+)$", text, re.M))


def function_of(address):
    return [name for at, name in symbols() if at <= address][-1]


REPORTS = {
    "wild": (r"page fault.*0x123456789000", 14),
    "privileged": (r"general protection", 13),
    "code": (r"page fault", 14),
    "memory": (r"page fault.*0x480000", 14),
}


@pytest.mark.parametrize("name", REPORTS)
def test_report(bad, name):
    """ps says why the peer ended, the log has the reason, where, and all registers."""
    why, vector = REPORTS[name]
    assert re.search(rf"^{name} +faulted .*{why}", bad.ps, re.M), bad.ps
    assert re.search(rf"^{name} .*\n +fault: vector {vector} ", bad.ps, re.M), bad.ps
    for line in (rf"{name}: .*at rip 0x4[0-9a-f]+ \(ring 1\)", rf"{name}: vector {vector} error 0x[0-9a-f]+ cr2 ",
                 rf"{name}: rax [0-9a-f]{{16}} ", rf"{name}: r12 [0-9a-f]{{16}} ", rf"{name}: faulted: "):
        assert re.search(line, bad.log), line


def test_backtrace_names_callers(bad):
    """The wild pointer's report leads back to main, caller by caller."""
    report = bad.log[bad.log.index("wild: page fault"):]
    chain = [int(re.search(r"at rip (0x\w+)", report).group(1), 16)]
    chain += [int(a, 16) for a in re.findall(r"wild:   called from (0x\w+)", report.split("wild: faulted")[0])]
    names = [function_of(a) for a in chain]	# a function without a frame of its own is left out
    assert names[0] == "wild_write" and names[-3:] == ["wild", "peer_main", "_start"], names


@pytest.mark.parametrize("name, shown", [("panic", r"crashed .*panic"), ("exit", r"exited .*status 5")],
                         ids=["own-panic-shown", "own-exit-shown"])
def test_own_end(bad, name, shown):
    """A peer that ends itself is told from one that was ended."""
    assert re.search(rf"^{name} +{shown}", bad.ps, re.M), bad.ps


def test_faulted_peer_restarts(bad):
    """keelctl restart runs it again: it says so again, and faults again."""
    assert len(re.findall(r"\[wild\] peer: ready wild", bad.text)) == 2
    assert len(re.findall(r"^\[keel\] wild: page fault", bad.text, re.M)) == 2
    assert re.search(r"^wild +faulted ", bad.ps_again, re.M)


def test_linux_unharmed(bad):
    """Linux runs on and powers the machine off with its status."""
    assert bad.alive == "42" and bad.status == 4


def test_nobody_outlives_a_fault(bad):
    """None of the peers came past the wrong it did."""
    assert "still alive" not in bad.text


# --- the file server dies while Lua reads ----------------------------------------------------------------

READER = """
-- Reads the file from end to end, again and again, so that no read-ahead lasts: time and text of the error.
local function until_error(f)
	while true do
		local before = os.clock()
		local data, why = f:read(65536)
		if why then return os.clock() - before, why end
		if not data then f:seek("set", 0) end
	end
end
local f = assert(io.open("/mnt/words.txt"))
print("reading")
local took, why = until_error(f)
print(string.format("failed after %.6f s: %s", took, why))
print("close", pcall(f.close, f))
f = assert(io.open("/mnt/words.txt"))
print("again", #f:read("a"))
"""
KILLER = """#!/bin/sh
keeld </dev/null >/tmp/keeld.log 2>&1 &
until keelctl console -a -t 0 lua </dev/null 2>/dev/null | grep -q reading; do sleep 0.05; done
sleep 0.3
killall -9 keeld	# it finds both processes, the second may be gone with the first
echo "KILLED"
sleep 0.5
keeld </dev/null >/tmp/keeld.log 2>&1 &
until keelctl ps | grep -q '^lua  *[efc][xar]'; do sleep 0.05; done
exit 0
"""


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("killed")
    made = make_bundle(folder, system(partition("lua", memory=8 << 20, cmdline="lua /boot/r.lua", modules="r.lua"), channel("lua")),
                       {"r.lua": READER}, {"killer": KILLER})
    linux = start_shared("faults-keeld", "--disk", str(copy_disk(folder)), "--bundle", made,
                         append="quiet keel.run=/killer", timeout=200)
    try:
        status = linux.wait_exit()
    except pexpect.TIMEOUT:
        status = None
    finally:
        linux.stop()
        shutil.rmtree(folder, ignore_errors=True)
    return status, log_text(linux)


def test_reads_fail_when_keeld_dies(killed):
    """The call in flight, or the next one, gives an I/O error, and gives it at once."""
    assert "KILLED" in killed[1]
    took, why = re.search(r"failed after ([\d.]+) s: (.*)", killed[1]).groups()
    assert "I/O error" in why or "Input/output" in why
    assert float(took) < 1.0


def test_new_keeld_serves_next_open(killed, tmp_path):
    """The next io.open reaches the new server, and reads all of the file."""
    size = copy_disk(tmp_path) and subprocess.run(["/usr/sbin/debugfs", "-R", "stat words.txt", tmp_path / "demo.img"],
                                                  capture_output=True, text=True, check=True).stdout
    size = re.search(r"Size: (\d+)", size).group(1)
    assert re.search(rf"\[lua\] again\s+{size}\b", killed[1])
    assert killed[0] == 0


# --- Linux panics ---------------------------------------------------------------------------------------------

WITNESS = """
print("up", io.open("/mnt/words.txt") ~= nil)
io.stdout:flush()
local f = io.open("/mnt/words.txt")
local data, why
repeat
	data, why = f:read(65536)
	if not data then f:seek("set", 0) end
until why
local before = os.clock()
for i = 1, 3 do
	while os.clock() - before < i * 0.3 do end
	print("alive", i, select(2, f:read(1)))
end
print("done")
"""


@pytest.fixture(scope="module")
def panicked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("panicked")
    made = make_bundle(folder, system(partition("lua", cmdline="lua /boot/w.lua", modules="w.lua"), channel("lua")),
                       {"w.lua": WITNESS})
    linux = start_shared("faults-panic", "--disk", str(copy_disk(folder)), "--bundle", made, timeout=200)
    try:
        linux.wait_prompt()
        assert wait_said(linux, r"\[lua\] up\s+true")
        linux.send("echo c >/proc/sysrq-trigger\r")
        linux.expect([r"\[lua\] done", pexpect.EOF], timeout=120)
        status = linux.wait_exit()
    finally:
        linux.stop()
        shutil.rmtree(folder, ignore_errors=True)
    return status, log_text(linux)


def test_panic_is_reported(panicked):
    """Linux's own words, and the metakernel's line that it crashed."""
    assert "Kernel panic - not syncing: sysrq triggered crash" in panicked[1]
    assert re.search(r"\[keel\] linux: crashed: ", panicked[1])


def test_peer_outlives_linux(panicked):
    """Its calls fail with an error, and it goes on to its own end."""
    after = panicked[1].split("[keel] linux: crashed")[-1]
    assert len(re.findall(r"\[lua\] alive\s+\d\s+.*error", after)) == 3, after
    assert re.search(r"\[keel\] lua: exited: status 0", after) or "[lua] done" in after


def test_machine_outlives_linux(panicked):
    """The machine ends when its last partition does, and does not call that a success."""
    assert "no partition is left" in panicked[1]
    assert panicked[0] not in (0, 123, 124, 125)


@pytest.mark.limit(150)
def test_last_partition_crashed_is_not_success(machine, tmp_path):
    """When nothing is left and something crashed, the status says so."""
    made = make_bundle(tmp_path, system(peer("panic"), linux=""), {"peer.elf": PEER})
    keel = machine("--bundle", made, "--mem", "128M", timeout=120)
    keel.expect(r"\[keel\] panic: crashed: ")
    assert keel.wait_exit() not in (0, 123, 124, 125)


@pytest.mark.limit(150)
def test_last_partition_status_comes_out(machine, tmp_path):
    """A machine of one peer ends with that peer's status."""
    made = make_bundle(tmp_path, system(peer("exit"), linux=""), {"peer.elf": PEER})
    assert machine("--bundle", made, "--mem", "128M", timeout=120).wait_exit() == 5


# --- Linux's devices after Linux ------------------------------------------------------------------------------

ECAM = 0xb0000000		# where SeaBIOS has QEMU's q35 configuration space
MASTER = 4


def functions(monitor):
    """Command register of each function on bus 0 of a q35 machine -> {(device, function): command}"""
    def word(at):
        text = monitor.ask("human-monitor-command", **{"command-line": f"xp /1hx {at:#x}"})
        return int(text.split(":")[1], 16)
    places = {(dev, fn): ECAM + (dev << 15) + (fn << 12) for dev in range(32) for fn in range(8)}
    return {where: word(at + 4) for where, at in places.items() if word(at) != 0xffff}


@pytest.mark.limit(240)
def test_dead_linux_has_no_bus(machine, tmp_path):
    """Linux panics while its disk works: no function of its devices masters the bus any more, and memory stays."""
    made = make_bundle(tmp_path, system(peer("spin")), {"peer.elf": PEER})
    linux = machine("--bundle", made, "--disk", str(copy_disk(tmp_path)), *Monitor.options(tmp_path),
                    "-machine", "q35", timeout=200)
    linux.wait_prompt()
    linux.shell("for i in 1 2 3; do while :; do dd if=/dev/vda of=/dev/null bs=64k iflag=direct 2>/dev/null; done & done; "
                "sleep 0.5")
    monitor = Monitor(tmp_path)
    before = {where for where, command in functions(monitor).items() if command & MASTER}
    assert before
    linux.send("echo c >/proc/sysrq-trigger\r")
    linux.expect(r"linux: bus mastering of (\d+) functions is off, 0 still busy")
    after = {where for where, command in functions(monitor).items() if command & MASTER}
    assert not after & before, f"{after}, before {before}"
    images = [tmp_path / "once", tmp_path / "again"]
    for image in images:
        monitor.ask("pmemsave", val=0x2000000, size=0x8000000, filename=str(image))
    assert images[0].read_bytes() == images[1].read_bytes()
    monitor.close()


# --- other priorities -------------------------------------------------------------------------------------------

@pytest.mark.limit(240)
def test_spinning_peer_does_not_starve_linux(machine, tmp_path):
    """A peer that never stops, of the same priority, takes turns with Linux."""
    made = make_bundle(tmp_path, system(peer("spin"), linux=LINUX), {"peer.elf": PEER})
    linux = machine("--bundle", made, append="quiet keel.run=/bin/keelctl keel.args=ps")
    linux.expect(r"spin +running ")
    assert linux.wait_exit() == 0


@pytest.mark.limit(90)
@pytest.mark.parametrize("cpu", ["max", "EPYC", "Skylake-Client"], ids=lambda cpu: f"rip_without_an_address-{cpu}")
def test_rip(machine, tmp_path, cpu):
    """A process that goes on at no address gets a signal, and Linux lives, also when a peer's tick comes just then."""
    path = make_bundle(tmp_path, system(peer("tick", priority=9)), {"peer.elf": PEER}, initramfs="initramfs-test.cpio.gz")
    m = machine("--bundle", path, "--cpu", cpu, append="keel.run=/tests/rip_without_an_address", timeout=80)
    assert m.wait_exit() == 0
