# SPDX-License-Identifier: MIT
"""Delegation and channels between peers, without a Linux (tests/peer/caps.c).

Failure looks like a line with BAD, a step that does not come, or a watcher that can do more than it was given.
"""
import re

import pytest
from conftest import BUILD
from systems import compile_tree, log_text, partition, system, write_bundle
from test_peers import kernel

pytestmark = [pytest.mark.group("caps"), pytest.mark.limit(150)]

STEPS = {
    "boss": ["boss is connected with talk", "a window is given", "watch is connected with talk", "boss gives", "boss sees what watch holds",
             "boss closes", "its window is its own, and zero", "its handle is void", "talk has ended where the window was",
             "and it is still zero", "boss takes back"],
    "watch": ["watch sees the state of talk", "watch reads the log", "watch cannot end talk", "watch cannot read its console",
              "watch cannot give talk anything", "watch cannot connect itself", "a window is given", "watch hears talk",
              "watch has lost both at once"],
}


LENT = {
    "lend": ["what is not memory of its own is refused", "lend makes an extent, once", "it is no buffer any more", "lend has it as before",
             "lend gives", "lend cannot just drop it", "lend sees what was written", "read has ended where it may not write",
             "lend takes back", "write has ended in the middle, and wrote no more", "lend ends it and keeps what is in it",
             "it is all its own again"],
    "read": ["read sees what is lent", "read cannot end it", "read finds no channel in it", "read cannot make one", "read cannot use it as a buffer"],
}


LENT_END = {
    "broker": ["broker is connected with store", "broker lends its end", "broker has not got it", "and sees that it is lent", "broker takes it back",
               "work has ended in the middle, and wrote no more", "broker is the client again"],
    "store": ["a window is given", "store hears broker, then work"],
    "work": ["work is the client", "work cannot close what it was lent"],
}

WIDE = {
    "wide": ["more than is its own is refused as a whole", "and nothing is lost", "wide gives a window of several pieces",
             "wide sees what far has written, and zeroes", "closed, it is zero", "and its own"],
    "far": ["far sees all of it"],
}

DEVICES = {
    "drive": ["what cannot be handed out is refused", "drive makes parts of its devices", "drive gives", "no interrupt has come to drive", "drive takes back",
              "uart has ended at the port", "nothing more was written", "the interrupt is drive's again", "their places are free"],
    "uart": ["uart cannot make one", "uart has the port", *3 * ["uart is interrupted, once", "and says that it is done"]],
}
COM2 = ["-chardev", "null,id=com2", "-device", "isa-serial,chardev=com2,iobase=0x2f8,irq=3"]


def run(machine, folder, cpus, names, *options, rights="control;", memory=1 << 19):
    """Boot peers of these names, the first with these rights and this memory, to the end -> the serial output."""
    peers = "".join(partition(name, "caps.elf", memory if name == names[0] else 1 << 19, name, more=rights if name == names[0] else "", kind="test") for name in names)
    given = {"system.dtb": compile_tree(system(peers, linux="")), "caps.elf": BUILD / "tests" / "peer" / "caps.elf"}
    keel = machine("--bundle", str(write_bundle(folder, given)), "--mem", "128M", "--cpus", str(cpus), *options, timeout=120)
    assert keel.wait_exit() == 0
    return log_text(keel)


def check(text, steps_of, boss):
    """Each has said its steps, in their order."""
    assert "BAD" not in text
    for name, steps in steps_of.items():
        said = re.findall(rf"^\[{name}\] (.*)$", text, re.M) if name != boss else re.findall(r"^(?!\[)(.+)$", text, re.M)
        assert [line.strip() for line in said if line.strip() in steps] == steps, said


@pytest.mark.parametrize("cpus, debug", [(1, False), (2, False), (2, True)],
                         ids=["memory-is-lent-on-one-cpu", "memory-is-lent-on-two-cpus", "memory-is-lent-on-two-cpus-debug"])
def test_lent(machine, tmp_path, cpus, debug):
    """An extent is read by one and written by another, with no more rights than they were given, until it is taken back."""
    text = run(machine, tmp_path, cpus, ("lend", "read", "write"), *kernel(debug))
    check(text, LENT, "lend")
    assert len(re.findall(r"^\[keel\] (?:read|write): faulted: ", text, re.M)) == 2


@pytest.mark.parametrize("cpus, debug", [(1, False), (2, False), (2, True)],
                         ids=["an-end-is-lent-on-one-cpu", "an-end-is-lent-on-two-cpus", "an-end-is-lent-on-two-cpus-debug"])
def test_lent_end(machine, tmp_path, cpus, debug):
    """The client's end of a channel is another partition's until it is taken back, in the middle of a transfer."""
    text = run(machine, tmp_path, cpus, ("broker", "store", "work"), *kernel(debug))
    check(text, LENT_END, "broker")
    assert re.search(r"^\[keel\] work: faulted: ", text, re.M)


@pytest.mark.parametrize("cpus, debug", [(1, False), (2, True)], ids=["a-wide-window-on-one-cpu", "a-wide-window-on-two-cpus-debug"])
def test_wide_window(machine, tmp_path, cpus, debug):
    """A window of 33 MiB: given, written, taken back in pieces; an offer that fails in its last piece loses nothing."""
    text = run(machine, tmp_path, cpus, ("wide", "far"), *kernel(debug), memory=48 << 20)
    check(text, WIDE, "wide")


@pytest.mark.parametrize("cpus", [1, 2], ids=["devices-are-lent-on-one-cpu", "devices-are-lent-on-two-cpus"])
def test_devices(machine, tmp_path, cpus):
    """A peer drives a serial port by ports and an interrupt that the holder of the devices gave it, until they are taken back."""
    text = run(machine, tmp_path, cpus, ("drive", "uart"), "--", *COM2, rights="control; devices;")
    check(text, DEVICES, "drive")


@pytest.mark.parametrize("cpus", [1, 2], ids=["peers-on-one-cpu", "peers-on-two-cpus"])
def test_peers_without_linux(machine, tmp_path, cpus):
    """A watcher gets the log and the state of another, and no more, until both are taken back; a channel is closed in the middle of a transfer."""
    text = run(machine, tmp_path, cpus, ("boss", "watch", "talk"))
    check(text, STEPS, "boss")
    assert re.search(r"^\[keel\] talk: faulted: ", text, re.M)
