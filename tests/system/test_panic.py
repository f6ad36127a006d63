# SPDX-License-Identifier: MIT
"""What becomes of the machine when Linux panics is what panic= on its command line says."""
import re

import pytest
from systems import LINUX, log_text, make_bundle, system

pytestmark = [pytest.mark.group("panic"), pytest.mark.limit(150)]

RESET = 123		# keel-run: the machine reset itself


def panic(machine, folder, words, linux=LINUX):
    """Boot Linux alone with these words, make it panic -> status, serial output."""
    keel = machine("--bundle", make_bundle(folder, system(linux=linux.replace("panic=0", words))), timeout=120)
    keel.wait_prompt()
    keel.send("echo c >/proc/sysrq-trigger\r")
    status = keel.wait_exit()
    text = log_text(keel)
    assert "Kernel panic - not syncing: sysrq triggered crash" in text
    return status, text


@pytest.mark.parametrize("words", ["panic=-1", "panic=1"], ids=["panic-resets-at-once", "panic-resets-after-a-while"])
def test_reset(machine, tmp_path, words):
    """With panic= and `control` the machine resets, as natively; not 0: at once or after so many seconds."""
    status, text = panic(machine, tmp_path, words)
    assert status == RESET
    assert "linux: crashed" not in text
    assert ("Rebooting in 1 seconds" in text) == (words == "panic=1")


def test_panic_without_timeout_is_a_crash(machine, tmp_path):
    """panic=0: the partition has crashed, for others to see."""
    status, text = panic(machine, tmp_path, "panic=0")
    assert status != RESET
    assert re.search(r"\[keel\] linux: crashed: ", text)


def test_panic_without_control_is_a_crash(machine, tmp_path):
    """Without `control` a reset is not Linux's to ask for: it has crashed, whatever panic= says."""
    status, text = panic(machine, tmp_path, "panic=-1", LINUX.replace(" control;", ""))
    assert status != RESET
    assert re.search(r"\[keel\] linux: crashed: ", text)
