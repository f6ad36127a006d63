# SPDX-License-Identifier: MIT
"""64 peers at once beside Linux, on a machine with 2 GiB: each is served by a process of its own, prints its line, sleeps until it is told, and
goes. Their channels have handles that do not fit into one word of events, and all read the same code.

Failure looks like a peer that is refused, that says nothing or does not hear it is told, or like memory or a handle that does not come back.
"""
import re

import pytest
from conftest import IMAGES
from systems import start_shared

pytestmark = [pytest.mark.group("run"), pytest.mark.limit(400)]

PEERS = 64
PROGRAM = 'print("here " .. arg[1]) io.flush() io.read() print("told " .. arg[1]) os.exit(tonumber(arg[1]))'
START = f"""exec 9<>go; for i in $(seq {PEERS}); do
    {{ keelctl run --name p$i lua many.lua $i <go >out/$i 2>&1 9>&-; echo $? >>out/$i; }} 9>&- &
done"""


def free_kib(linux):
    return int(re.search(r"MemFree: +(\d+)", linux.shell("cat /proc/meminfo")).group(1))


def test_many_at_once():
    """All are there at the same time; then none, and Linux has what it had."""
    linux = start_shared("run-many", "--mem", "2G", "--bundle", str(IMAGES / "test.bundle"), timeout=380)
    try:
        linux.wait_prompt()
        linux.shell("dmesg -n 1; mkdir /tmp/work; cd /tmp/work; mkdir out; mkfifo go; "
                    f"echo '{PROGRAM}' >many.lua; echo | keelctl run lua many.lua 0")
        before, caps = free_kib(linux), linux.shell("keelctl caps")
        linux.shell(START.replace("\n", " "))
        linux.shell(f"until [ $(cat out/* | grep -c ^here) = {PEERS} ]; do usleep 200000; done", 300)
        assert linux.shell("keelctl ps | grep -c '^p[0-9]* *blocked'") == str(PEERS)
        held = linux.shell("keelctl caps").replace("\r", "")
        handles = [int(h) for h in re.findall(r"^ *(\d+) channel +serve +p\d+ .*client up", held, re.M)]
        assert len(handles) == PEERS and sum(h >= 48 for h in handles) > PEERS // 2
        assert re.fullmatch(r"HANDLE .*\n *0 partition +info +p64\n *1 channel +use +p64\n *2 memory +read +linux", linux.shell("keelctl caps p64"))
        assert linux.shell("cat out/* | grep -c ^told") == "0"
        linux.shell("exec 9>&-; wait", 200)
        said = linux.shell(f"for i in $(seq {PEERS}); do echo $(cat out/$i); done").replace("\r", "").split("\n")
        assert said == [f"here {i} told {i} {i}" for i in range(1, PEERS + 1)]
        assert linux.shell("keelctl caps") == caps
        assert free_kib(linux) > before - before // 100
        linux.shell("for i in 1 2 3; do keelctl run lua -e 'print(1)'; done")
        assert linux.status == 0
    finally:
        linux.stop()
