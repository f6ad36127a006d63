# SPDX-License-Identifier: MIT
"""The demo: Lua in a partition of its own works on Linux's files over the channel."""
import re
import subprocess

import pytest
from conftest import TOP

pytestmark = pytest.mark.group("demo")

LUA = "lua5.4"


def counts(text):
    """The demo's report without the line of times."""
    return [line for line in text.replace("\r", "").splitlines() if re.match(r"\S+: \d+ lines", line)]


def on_host(tmp_path, disk):
    """What the same program says about the same files on an ordinary Lua."""
    for name in ("README.md", "words.txt"):
        subprocess.run(["debugfs", "-R", f"dump {name} {tmp_path / name}", disk], check=True, capture_output=True,
                       env={"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"})
    done = subprocess.run([LUA, TOP / "images/demo/demo.lua", tmp_path], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=True)
    return counts(done.stdout)


def test_lua_counts_words_over_the_channel(machine, disk, tmp_path):
    """Lua's result, left on Linux's disk, is that of an ordinary Lua; a wrong byte anywhere shows."""
    expected = on_host(tmp_path, disk)
    assert len(expected) == 2
    linux = machine("--disk", disk)
    linux.wait_prompt()
    linux.expect(r"\[lua\] result\.txt written")
    linux.send("\r")
    linux.wait_prompt()
    assert counts(linux.shell("cat /mnt/result.txt")) == expected
    linux.send("exit\r")
    assert linux.wait_exit() == 0


def test_linux_sees_and_stops_the_peer(machine, disk):
    """keelctl shows both partitions and ends Lua; Linux goes on and says so."""
    linux = machine("--disk", disk)
    linux.wait_prompt()
    linux.expect(r"\[lua\] result\.txt written")
    linux.send("\r")
    linux.wait_prompt()
    listing = linux.shell("keelctl ps")
    assert re.search(r"\blinux\b", listing) and re.search(r"\blua\b", listing), listing
    assert "Lua" in linux.shell("echo 'return _VERSION' | keelctl console -t 3 lua")
    linux.shell("keelctl stop lua")
    assert linux.status == 0
    assert re.search(r"lua.*(stopped|dead|ended|off|killed)", linux.shell("keelctl ps"))
    assert linux.shell("echo still here") == "still here"
    linux.send("exit\r")
    assert linux.wait_exit() == 0


REFUSED = """
local file, why = io.open("/etc/passwd")
print("passwd: " .. (file and "OPEN" or "refused " .. tostring(why)))
file, why = io.open("/mnt/../etc/passwd")
print("dotdot: " .. (file and "OPEN" or "refused " .. tostring(why)))
file, why = io.open("/etc/keel/lua.policy", "w")
print("policy: " .. (file and "OPEN" or "refused " .. tostring(why)))
file, why = io.open("/mnt/words.txt")
print("words: " .. (file and "open" or "REFUSED " .. tostring(why)))
print("asked all")
"""


def test_peer_gets_only_what_its_policy_allows(machine, disk, bundle, tmp_path):
    """Files outside the policy are refused, also by way of `..`; the one inside is not."""
    script = tmp_path / "ask.lua"
    script.write_text(REFUSED)
    manifest = (TOP / "images" / "system.dts").read_text()
    linux = machine("--disk", disk, "--bundle", bundle(manifest, {"demo.lua": script}))
    linux.expect(r"\[lua\] asked all")
    said = linux.before
    for name in ("passwd", "dotdot", "policy"):
        assert f"[lua] {name}: refused" in said
    assert "[lua] words: open" in said
