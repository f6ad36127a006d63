# SPDX-License-Identifier: MIT
"""The serial port is shared, and nobody waits for it: a peer that writes without end, and a far end that does
not read, stop neither Linux nor the machine; nothing a peer writes looks like somebody else's line.

Failure looks like: a machine that stands still, output of Linux's that is missing or changed, a control
character of a peer's on the line, or one that begins with a name it does not have.
"""
import fcntl
import os
import re
import subprocess
import time

import pytest
from conftest import BUILD, LOGS, TOP
from systems import copy_disk, log_text, make_bundle, partition, system, wait_said

pytestmark = pytest.mark.group("console")

PEER = BUILD / "tests" / "peer" / "peer.elf"
FLOOD = "flood flood flood flood flood flood"
F_SETPIPE_SZ = 1031


def peer(name, priority=8):
    return partition(name, "peer.elf", 1 << 19, cmdline=name, priority=priority)


def with_peers(folder, *peers, **more):
    return make_bundle(folder, system("".join(peers)), {"peer.elf": PEER}, **more)


def test_flood_beside_the_shell(machine, tmp_path):
    """Linux's shell answers beside a flooding peer of its own priority, and all it writes arrives in order."""
    linux = machine("--bundle", with_peers(tmp_path, peer("flood")), timeout=150)
    linux.wait_prompt(100)
    linux.send("echo \"@\"begin; seq 1 3000; echo \"@\"end\r")
    linux.expect("@end", 100)
    # As it came: QEMU's log has a byte twice when the terminal was full.
    text = linux.before.replace("\r", "") + "@end"
    own = re.sub(r"\[flood\] [^\n]*\n", "", text[text.index("@begin"):])
    assert own[:own.index("@end")].split() == ["@begin", *map(str, range(1, 3001))]
    assert text.count(f"[flood] {FLOOD}\n") > 10
    for line in re.findall(r"\[flood\] (.*)", text[text.index("@begin"):text.rindex("\n")]):
        assert line in (FLOOD, "peer: ready flood") or re.fullmatch(r"\d+ bytes lost", line)


def test_control_characters_are_visible(machine, tmp_path):
    """Escape sequences, carriage returns, C1 and long lines forge nothing: all is behind the peer's name."""
    linux = machine("--bundle", with_peers(tmp_path, peer("forge")), timeout=150)
    linux.wait_prompt(100)
    assert wait_said(linux, r"\[forge\] peer: still alive")
    raw = linux.log.read_bytes()
    for said in (rb"[forge] ^[[2J^[[H^M[keel] forged by ESC", rb"[forge] ^H^H^H^H^H^H^H^H^H[keel] forged by BS",
                 rb"[forge] [keel] forged by LF^M[keel] forged by CR",
                 rb"[forge] \xc2\x9bA \x9bA \xc2\x85[linux] forged by C1", rb"[forge] [keel] forged by length"):
        assert said + b"\r\n" in raw, said
    assert "[forge] forge: gr\u00fcn\r\n".encode() in raw
    assert b"forged" not in b"".join(re.findall(rb"(?:^|[\r\n])\[(?:keel|linux)\][^\n]*", raw))
    assert b"\x1b[2J\x1b[H" not in raw and b"\x9bA" not in raw and b"\x08\x08[keel]" not in raw
    linux.shell("keelctl log")
    assert linux.status == 0


WRITES = """#!/bin/sh
dmesg >/mnt/dmesg.txt
for i in 1 2 3 4 5 6 7 8 9; do echo "<1>line $i" >/dev/kmsg; done
echo done >/mnt/done.txt
exit 5
"""


@pytest.mark.limit(150)
def test_nobody_reads_the_serial_port(tmp_path):
    """From its first byte on, nobody reads what the machine says: Linux boots all the same beside a flooding
    peer, writes its file, and powers off with its status."""
    disk = copy_disk(tmp_path)
    bundle = with_peers(tmp_path, peer("flood"), rootfs={"bin/writes": WRITES})
    reader, writer = os.pipe()
    fcntl.fcntl(writer, F_SETPIPE_SZ, 4096)
    LOGS.mkdir(parents=True, exist_ok=True)
    with open(LOGS / "console-nobody_reads_the_serial_port.log", "wb") as log:
        run = subprocess.Popen([TOP / "scripts" / "keel-run", "--bundle", bundle, "--disk", str(disk), "--timeout", "120",
                                "--append", "keel.run=/bin/writes"], stdin=subprocess.DEVNULL, stdout=writer, cwd=TOP)
        os.close(writer)
        status = run.wait()
        log.write(os.read(reader, 1 << 16))
    os.close(reader)
    found = subprocess.run(["/usr/sbin/debugfs", "-R", "cat done.txt", disk], capture_output=True, text=True, check=True)
    assert found.stdout == "done\n"
    assert status == 5


def test_a_pause_is_marked(machine, tmp_path):
    """The far end stops reading and comes back: what the peer lost meanwhile is marked, Linux answers again."""
    linux = machine("--bundle", with_peers(tmp_path, peer("flood")), timeout=150)
    linux.wait_prompt(100)
    size = -1
    while size != linux.log.stat().st_size:		# until the port is stuck
        size = linux.log.stat().st_size
        time.sleep(1)
    linux.expect(r"\[flood\] \d{4,} bytes lost\r")
    linux.send("echo \"@\"$((6*7))\r")
    linux.expect("@42")
    linux.send("exit 3\r")
    assert linux.wait_exit() == 3


def test_typed_ahead_is_kept(machine):
    """Lines typed before the machine has begun to boot are all there when the shell reads them."""
    linux = machine(timeout=150)
    for number in range(100):
        linux.send(f"echo \"@\"$(({number}*7))\r")
    for number in range(100):
        assert linux.expect(r"@(\d+)\s", 100).group(1) == str(number * 7)
