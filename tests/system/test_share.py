# SPDX-License-Identifier: MIT
"""The code of an image is in memory once, whoever runs it: peers of `keelctl run` read it, and it is kept for those who come later.

Failure looks like a peer that runs what its image was before or what another one has written there, a second copy, a copy that stays when
nobody has it, or one that goes while somebody has it.
"""
import re

import pytest
from systems import LINUX, make_bundle, log_text, start_keelctl, system
from test_ctl import ask
from test_orphans import ALIVE
from test_run import LEFT, all_back, program, put, run, settled_kib

pytestmark = [pytest.mark.group("run"), pytest.mark.limit(240)]

SETTLED = "sleep 0.3"		# a file that changed just now is not kept

# By the first letter of its partition's name: s spins; w writes to its code; m maps its code writable, and then writes; e executes what the
# metakernel emulates for it, and ends with 99 if that is a fault; else, and then, it ends with a status.
ACTS = bytes.fromhex("8a47403c73741d3c7774623c6d74173c657467be07000000b812000000bf03000000cd0febfe488b5f104881eb0000400048"
                     "8b47284829d8488b00482500f0ffff4829d8488b00482500f0ffff4829d8488b4010482500f0ffff4829d848830802b80900"
                     "0000bf01000000cd0fc704250008400001000000ebaab806000000bf03000000488d3507000000cd0f0f20d0eb81be630000"
                     "00e97cffffff")


def image(status=7):
    return program(ACTS.replace(b"\xbe\x07", bytes((0xbe, status))), shared=True)


@pytest.fixture(scope="module", name="linux")
def shared_machine():
    linux = start_keelctl("share", 900)
    put(linux, "alive.lua", ALIVE)
    put(linux, "held", "text\n")
    yield linux
    linux.stop()


@pytest.fixture(autouse=True)
def nothing_is_left(linux):
    before = linux.shell(LEFT)
    yield
    assert linux.shell(LEFT) == before


def extents(linux):
    """How large each extent is that there is."""
    return re.findall(r"^ +\d+ memory +read,write +linux  (\S+)$", linux.shell("keelctl caps").replace("\r", ""), re.M)


def forget(linux):
    """Memory is asked for that is not there: what nobody has is not kept any more."""
    assert run(linux, "keelctl run -m 1024M lua 2>/dev/null") == ("", 125)
    return extents(linux)


def status(linux, name="own"):
    return run(linux, f"keelctl run ./{name}.elf 2>&1")[1]


def test_code_is_there_once(linux):
    """Three peers of the same image, started at once: one extent, of which each has a handle to read."""
    assert not forget(linux)
    linux.shell("mkfifo q; sleep 100 >q & for i in 1 2 3; do keelctl run --name two-$i lua -e 'print(1) io.flush() io.read()' <q >out-$i & done; "
                "until [ $(cat out-* | wc -l) = 3 ]; do :; done")
    sizes = extents(linux)
    assert len(sizes) == 1 and sizes[0].endswith("K") and int(sizes[0][:-1]) > 100
    for i in 1, 2, 3:
        assert re.fullmatch(rf"HANDLE .*\n *0 partition +info +two-{i}\n *1 channel +use +two-{i}\n *2 memory +read +linux",
                            linux.shell(f"keelctl caps two-{i}").replace("\r", ""))
    assert forget(linux) == sizes			# somebody has it
    linux.shell("kill %1; wait; rm q out-*")
    assert extents(linux) == sizes			# and the next one will
    assert run(linux, "keelctl run lua -e 'print(2)'") == ("2", 0) and extents(linux) == sizes
    assert not forget(linux)
    assert run(linux, "keelctl run lua -e 'print(3)'") == ("3", 0) and extents(linux) == sizes


def test_all_that_serves_is_killed(linux):
    """keeld, keepers and workers: who runs has its code, though Linux keeps it no more, and the next ones run as before."""
    assert run(linux, "rm -f sign; keelctl run -d --name job lua alive.lua") == ("job", 0)
    linux.shell("until keelctl logs job | grep -q up; do :; done")
    linux.shell("p=$(pidof keeld keelctl); kill -9 $p; for i in $p; do while [ -d /proc/$i ]; do :; done; done; "
                "(keeld -l /tmp/keeld.log </dev/null >/dev/null 2>&1 &); until [ $(keelctl caps | grep -c 'channel.*server up') = 2 ]; do :; done")
    assert len(forget(linux)) == 1
    assert run(linux, "keelctl run lua -e 'print(5)'") == ("5", 0)
    assert run(linux, "touch sign; keelctl wait job") == ("7", 0)
    assert "opened\ttext" in linux.shell("keelctl logs job; keelctl rm job")


def test_image_is_replaced(linux):
    """By another file, in the same one, and with its times as they were: what runs is what the file is then."""
    for number in range(20):
        put(linux, "next.elf", image(10 + number))
        linux.shell(("mv next.elf own.elf", "cat next.elf >own.elf", "touch -r own.elf t; cat next.elf >own.elf; touch -r t own.elf")[number % 3])
        if number % 4:
            linux.shell(SETTLED)
        assert (status(linux), status(linux)) == (10 + number, 10 + number)
    linux.shell("rm -f own.elf next.elf t")


def test_just_changed(linux):
    """A file that may change again in the same tick is not kept; nor is one whose code must not be shared."""
    put(linux, "own.elf", image())
    forget(linux)
    fresh = [run(linux, "cat own.elf >now.elf; keelctl run ./now.elf; r=$?; keelctl caps | grep -c memory; (exit $r)") for _ in range(5)]
    assert ("0", 7) in fresh
    linux.shell(SETTLED)
    assert status(linux) == 7 and extents(linux) == ["4K"]
    put(linux, "plain.elf", program(ACTS))
    linux.shell(SETTLED)
    forget(linux)
    assert status(linux, "plain") == 7 and not extents(linux)
    linux.shell("rm own.elf now.elf plain.elf")


def test_few_are_kept(linux):
    """More images than are kept, again and again: eight copies, and then none."""
    forget(linux)
    for number in range(12):
        put(linux, f"own-{number}.elf", image(10 + number))
    linux.shell(SETTLED)
    for _ in range(2):
        assert [status(linux, f"own-{number}") for number in range(12)] == list(range(10, 22))
        assert extents(linux) == ["4K"] * 8
    linux.shell("rm own-*.elf")
    assert not forget(linux)


def test_who_writes_to_its_code(linux):
    """A fault, whatever its own page tables say; others of the image run on, and what is kept is what it was. It is code like any other: also what
    the metakernel has to read."""
    put(linux, "own.elf", image())
    linux.shell(SETTLED)
    forget(linux)
    linux.shell("keelctl run -d --name spins ./own.elf")
    assert extents(linux) == ["4K"]
    for name in ("writes", "maps"):
        output, got = run(linux, f"keelctl run --name {name} ./own.elf 2>&1")
        assert got == 139 and re.fullmatch(rf"keelctl: {name}: .*vector 14 error 0x3 .*cr2 0x400800\)", output), output
    assert status(linux) == 7 and extents(linux) == ["4K"]
    assert run(linux, "keelctl run --name emulates ./own.elf") == ("", 7)
    assert ask(linux, "inspect spins")["partition"]["state"] in ("running", "blocked")
    linux.shell("keelctl kill spins; keelctl wait spins; keelctl rm spins; rm own.elf")


def test_starts_again(linux):
    """With the code it had, whatever its file is by then."""
    put(linux, "own.elf", image(3))
    put(linux, "next.elf", image(4))
    linux.shell(SETTLED)
    linux.shell("keelctl run -d --name again --restart on-failure:3 ./own.elf; mv next.elf own.elf; keelctl wait again")
    log = linux.shell("keelctl logs again; keelctl rm again; rm own.elf").split("\n")
    assert [line.partition(": ")[2] for line in log] == [f"again: status 3; it starts again in {ms} ms" for ms in (100, 200, 400)]


def test_restarted(linux):
    """`keelctl restart`, with and without what is kept."""
    forget(linux)
    linux.shell("keelctl run -d --name again lua -e 'print(\"up\") io.flush() while true do end'")
    for number in range(2, 5):
        linux.shell(f"until [ $(keelctl logs again | grep -c '^up$') = {number - 1} ]; do :; done; keelctl restart again")
        assert len(forget(linux) if number % 2 else extents(linux)) == 1
    linux.shell("until [ $(keelctl logs again | grep -c '^up$') = 4 ]; do :; done; keelctl kill again; keelctl wait again; keelctl rm again")
    assert not forget(linux)


@pytest.mark.limit(600)
def test_memory_of_code_comes_back(linux):
    """50 runs of images that are shared, each of its own file: Linux has the memory, and no more extents are there than are kept."""
    put(linux, "own.elf", image())
    linux.shell(f"{SETTLED}; keelctl run ./own.elf")
    forget(linux)
    before = settled_kib(linux)
    linux.shell("i=0; while [ $i -lt 50 ]; do cp own.elf own-$i.elf; usleep 150000; keelctl run ./own-$i.elf; "
                "[ $? -eq 7 ] && keelctl run lua -e '' || break; rm own-$i.elf; i=$((i + 1)); done; [ $i -eq 50 ]", 300)
    assert linux.status == 0
    assert len(extents(linux)) == 8 and all_back(linux, before)
    assert not forget(linux)
    linux.shell("rm own.elf")


def test_linux_without_control(machine, tmp_path):
    """It may not share: refused, and no more than that."""
    made = make_bundle(tmp_path, system(linux=LINUX.replace(" control;", "")), initramfs="initramfs-test.cpio.gz")
    linux = machine("--bundle", made, append='quiet keel.run=/stress/run keel.args="60 /stress/run_time_shares"', timeout=100)
    assert linux.wait_exit() == 0
    assert re.search(r"may not share: EPERM\s+STRESS-RUN /stress/run_time_shares 77", log_text(linux))
