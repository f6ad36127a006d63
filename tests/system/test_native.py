# SPDX-License-Identifier: MIT
"""The Linux partition's kernel also runs without Keel: one kernel, two ways to boot."""
import pytest

pytestmark = pytest.mark.group("native")


def test_linux_boots_to_shell(machine, disk):
    """Shows that the patched kernel boots on bare hardware; fails with a hang or a panic in the log."""
    linux = machine("--native", "--disk", disk)
    linux.wait_prompt()
    assert "6.12" in linux.shell("uname -r")
    assert "words.txt" in linux.shell("ls /mnt")
    linux.send("exit 7\r")
    assert linux.wait_exit() == 7


def test_status_of_program_is_exit_status(machine):
    """keel.run's program decides the machine's exit status, so a failing guest test fails here too."""
    linux = machine("--native", append='keel.run=/bin/ls keel.args="/ /nonexistent"')
    linux.expect(r"KEEL-RUN EXIT 1\b")
    assert linux.wait_exit() == 1


def test_panic_is_not_success(machine):
    """A kernel panic resets the machine; keel-run must not take that for status 0."""
    linux = machine("--native", append="init=/nonexistent rdinit=/nonexistent root=/dev/none")
    linux.expect("Kernel panic")
    assert linux.wait_exit() == 123
