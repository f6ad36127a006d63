# SPDX-License-Identifier: MIT
"""keeld and /dev/keel in a running system: windows of every size, what a peer is told without a policy,
what it can use up of Linux, and what keeld itself may do.
"""
import re

import pytest
from conftest import IMAGES
from systems import MIB, channel, copy_disk, log_text, make_bundle, partition, system, wait_said

pytestmark = [pytest.mark.group("keeld"), pytest.mark.limit(200)]


def start(machine, folder, script, rootfs=None, window=MIB, disk=True, name="lua"):
    """The everyday system with another script for its peer."""
    made = make_bundle(folder, system(partition(name, cmdline="lua /boot/s.lua", modules="s.lua"),
                                      channel(name, window=window)), {"s.lua": script}, rootfs)
    linux = machine(*(["--disk", str(copy_disk(folder))] if disk else []), "--bundle", made)
    linux.wait_prompt()
    return linux


# Lua's temporary files, and what a peer can use up: it writes until it is told not to.
TEMPORARY = """
local name = os.tmpname()
local file = assert(io.open(name, "w"))
print("named", file:write("kept"):close(), io.open(name):read("a"), os.remove(name))
file = assert(io.tmpfile())
file:write("temporary") file:seek("set")
print("unnamed", file:read("a"))
"""
GREEDY = """
local piece = string.rep("x", 65536)
local function fill(path)
	local file, n, ok, why = assert(io.open(path, "w")), 0
	file:setvbuf("no")
	repeat
		ok, why = file:write(piece)
		n = n + 1
	until not ok or n > 4096
	print("filled", path, n // 16, why)
end
fill("/mnt/big") fill("/tmp/big")
"""
DENIED = """
for i = 1, 3000 do io.open("/etc/shadow" .. i) end
print("denied", select(2, io.open("/etc/passwd")))
"""


def settle(linux, pattern):
    """Wait for a line of the peer's, then for a prompt of its own line."""
    assert wait_said(linux, pattern, timeout=60), log_text(linux)[-2000:]
    linux.send("\r")
    linux.wait_prompt()


COUNT = """
local n = 0
for line in io.lines("/mnt/words.txt", "L") do n = n + #line end
print("read", n)
"""


@pytest.mark.parametrize("mib", [4, 8, 16], ids=["window-of-4-mib", "window-of-8-mib", "window-of-16-mib"])
def test_window(machine, tmp_path, mib):
    """A window as large as the manifest allows is given, in one piece, and is used."""
    linux = start(machine, tmp_path, COUNT, window=mib * MIB)
    settle(linux, r"\[lua\] read\s+\d+")
    assert re.search(r"\[lua\] read\s+10485\d\d", log_text(linux))
    assert f"window {mib}M" in linux.shell("keelctl caps")


@pytest.mark.parametrize("policy, word", [(None, "No such file or directory"), ("wr /mnt\n", "lua.policy:1: "),
                                          ("rw /none\n", "lua.policy:1: /none: ")],
                         ids=["without-a-policy", "with-a-bad-policy", "with-a-policy-of-nothing-there"])
def test_refused(machine, tmp_path, policy, word):
    """The peer is told at once that it may not, and the log says why; it does not wait for a server."""
    script = 'print("open", select(2, io.open("/mnt/words.txt")))'
    linux = start(machine, tmp_path, script, policy and {"etc/keel/lua.policy": policy},
                  name="lua" if policy else "other")
    settle(linux, r"open\s.*Permission denied")
    said = linux.shell("cat /tmp/keeld.log")
    assert word in said and "every request is refused" in said


def test_temporary_files_work(machine, tmp_path):
    """os.tmpname and io.tmpfile, under the policy that is shipped."""
    linux = start(machine, tmp_path, TEMPORARY)
    settle(linux, r"\[lua\] unnamed\s+temporary")
    assert re.search(r"\[lua\] named\s+true\s+kept\s+true", log_text(linux))
    assert linux.shell("ls /tmp") == "keeld.log"		# a place of its own, not Linux's


def test_peer_cannot_use_up_linux(machine, tmp_path):
    """Without a disk what it may write to is memory: only a part of it."""
    linux = start(machine, tmp_path, GREEDY, disk=False)
    settle(linux, r"\[lua\] filled\s+/tmp/big")
    filled = dict(re.findall(r"\[lua\] filled\s+(\S+)\s+(\d+)\s+.*No space left on device", log_text(linux)))
    assert 8 <= int(filled["/mnt/big"]) <= 64
    assert int(filled["/tmp/big"]) <= 4


def test_denials_do_not_fill_the_log(machine, tmp_path):
    """Thousands of refusals are a few lines."""
    linux = start(machine, tmp_path, DENIED)
    settle(linux, r"\[lua\] denied\s.*Permission denied")
    assert int(linux.shell("wc -c </tmp/keeld.log")) < 8000
    assert "denied: open /etc/shadow1" in linux.shell("cat /tmp/keeld.log")


def test_attached_console_shows_lines_once(machine, tmp_path):
    """`keelctl console` on the terminal that is the serial port: an answer is there once, by the one or the other."""
    linux = start(machine, tmp_path, 'while true do local l = io.read() print("<" .. l:upper() .. ">") io.flush() end')
    linux.send("keelctl console lua\r")
    linux.expect("leaves")
    for word in ("one", "two", "three"):
        linux.send(f"{word}\r")
        linux.expect(f"<{word.upper()}>")
    linux.send("\x1d")
    linux.wait_prompt()
    linux.send("echo four | keelctl console -t 0 lua >/dev/null\r")	# nobody is attached any more
    settle(linux, r"\[lua\] <FOUR>")
    assert re.findall(r"(\[lua\] |)<(ONE|TWO|THREE|FOUR)>", log_text(linux)) == \
        [("", "ONE"), ("", "TWO"), ("", "THREE"), ("[lua] ", "FOUR")]


def test_ctrl_c_reaches_a_running_script(machine, tmp_path):
    """^C at the attached console is an error in a script that never looks at its input."""
    linux = start(machine, tmp_path, 'io.read() print("busy") io.flush() '
                                     'print(pcall(function() while true do end end)) print("on", 6 * 7)')
    linux.send("keelctl console lua\r")
    linux.expect("leaves")
    linux.send("\r")
    linux.expect("busy")
    linux.send("\x03")
    linux.expect("interrupted!")
    linux.expect(r"on\s+42")
    linux.send("\x1d")
    linux.wait_prompt()


def test_date_set_in_linux_reaches_the_peer(machine, tmp_path):
    """Its wall clock is Linux's, also after that was set, forwards and back; what it measures with is not."""
    linux = start(machine, tmp_path, """
local file, begin, last = assert(io.open("/mnt/words.txt")), os.clock(), "2000"
repeat
	local year = os.date("%Y")
	if year ~= last then print("year", year, os.clock() - begin < 1000) io.flush() end
	last = year
until year == "2031"
""")
    for year in ("2040", "2031"):
        linux.shell(f"date -s '{year}-01-01 00:00:00'")
        settle(linux, rf"year\s+{year}\s+true")


def test_keeld_has_no_capabilities(machine, tmp_path):
    """Not one, in any set, in neither of its processes; and it cannot get any."""
    linux = start(machine, tmp_path, COUNT)
    settle(linux, r"\[lua\] read\s+\d+")
    said = linux.shell("for p in $(pidof keeld); do grep -e ^Cap -e ^NoNew /proc/$p/status; done")
    sets = re.findall(r"^(Cap\w+):\s+(\w+)", said, re.M)
    assert len(sets) == 10 and all(int(bits, 16) == 0 for _, bits in sets), said
    assert re.findall(r"^NoNewPrivs:\s+(\d)", said, re.M) == ["1", "1"]
