# SPDX-License-Identifier: MIT
"""What a script may rely on: exit statuses through init and keel-run, on Keel and natively; options of
keel-run; files added with ROOTFS_EXTRA; the shell and the peer behind `make run`.
"""
import os
import re
import shutil
import subprocess

import pexpect
import pytest
from conftest import BUILD, IMAGES, LOGS, PROMPT, TOP
from systems import copy_disk, make_bundle, more_files, system

pytestmark = [pytest.mark.group("contract"), pytest.mark.limit(240)]

KEEL_RUN = TOP / "scripts" / "keel-run"
PROGRAM = "#!/bin/sh\necho \"args: $*\"\nexit $1\n"


def keel_run(*options, timeout=60):
    return subprocess.run([KEEL_RUN, *map(str, options)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          errors="replace", timeout=timeout)


# --- exit statuses ---------------------------------------------------------------------------------------

# 1 and 7: test_boot.py, test_native.py
STATUSES = [("keel", 0), ("keel", 42), ("native", 0), ("native", 42)]


@pytest.mark.parametrize("kind, status", STATUSES, ids=[f"{k}-status-{s}" for k, s in STATUSES])
def test_status(machine, tmp_path, kind, status):
    """keel.run=PATH keel.args="...": the program gets its arguments, its status is keel-run's."""
    append = f'quiet keel.run=/program keel.args="{status} two"'
    if kind == "native":
        initramfs = more_files(tmp_path, IMAGES / "initramfs.cpio.gz", {"program": PROGRAM})
        linux = machine("--native", "--initrd", str(initramfs), append=append)
    else:
        made = make_bundle(tmp_path, system(), rootfs={"program": PROGRAM})
        linux = machine("--bundle", made, append=append)
    linux.expect(rf"args: {status} two\r")
    linux.expect(rf"KEEL-RUN EXIT {status}\r")
    assert linux.wait_exit() == status


def test_status_above_the_guests(machine, tmp_path):
    """A program's status of 120 and above must not look like the metakernel's own."""
    made = make_bundle(tmp_path, system(), rootfs={"program": PROGRAM})
    linux = machine("--bundle", made, append="quiet keel.run=/program keel.args=122")
    linux.expect(r"KEEL-RUN EXIT 122\r")
    assert linux.wait_exit() == 119


# --- keel-run itself ---------------------------------------------------------------------------------------

def test_timeout_is_124(tmp_path):
    """A guest that does not end is ended, with 124, and not much later than asked."""
    made = make_bundle(tmp_path, system(), rootfs={"sleep-on": "#!/bin/sh\nsleep 1000\n"})
    done = keel_run("--bundle", made, "--timeout", "3", "--append", "quiet keel.run=/sleep-on", timeout=60)
    assert done.returncode == 124
    assert "timeout after 3 s" in done.stderr


def test_unknown_option_is_an_error():
    """Nothing is booted; the option is named."""
    done = keel_run("--speed", "9")
    assert done.returncode not in (0, 124) and "--speed" in done.stderr


def test_missing_bundle_is_125(tmp_path):
    """keel-run's own trouble has a status of its own."""
    done = keel_run("--bundle", tmp_path / "none")
    assert done.returncode == 125 and str(tmp_path / "none") in done.stderr


def test_refused_by_qemu_is_125():
    """So has QEMU's."""
    done = keel_run("--cpu", "abacus")
    assert done.returncode == 125 and "abacus" in done.stderr


def test_bad_disk_is_125(tmp_path):
    """A disk that is not there is said so before anything boots."""
    assert keel_run("--disk", tmp_path / "none.img").returncode == 125


@pytest.mark.parametrize("way", [[], ["--iso"], ["--uefi"]], ids=["words-and-log", "words-by-iso", "words-by-uefi"])
def test_words_and_log(tmp_path, way):
    """`--append "A -- B"`: A is the metakernel's, B is Linux's. --log FILE holds what the serial port said."""
    log = tmp_path / "serial.log"
    done = keel_run(*way, "--bundle", IMAGES / "linux-test.bundle", "--mem", "300M", "--log", log, "--append",
                    "for-keel -- quiet keel.run=/bin/cat keel.args=/proc/cmdline", timeout=100)
    assert done.returncode == 0
    text = log.read_text(errors="replace").replace("\r", "")
    assert text in done.stdout.replace("\r", "")
    assert 'command line "for-keel -- quiet' in text and re.search(r"\[keel\] (300|29\d) MiB", text)
    shown = re.findall(r"^(console=hvc0 .*)$", text, re.M)
    assert len(shown) == 1 and "keel.run=/bin/cat" in shown[0] and "for-keel" not in shown[0]


def test_words_that_grub_would_change():
    """Quotes would come out of GRUB with backslashes: refused by name."""
    done = keel_run("--iso", "--append", """keel.args="two words\"""")
    assert done.returncode == 2 and "quotes" in done.stderr


# --- ROOTFS_EXTRA ----------------------------------------------------------------------------------------------

def test_rootfs_extra(machine, tmp_path):
    """make ROOTFS_EXTRA=DIR: its files are in the initramfs, programs still programs. Built elsewhere,
    from what is built already, so that nothing else changes."""
    extra, out = tmp_path / "extra", tmp_path / "build"
    (extra / "opt").mkdir(parents=True)
    (extra / "opt" / "hello").write_text("#!/bin/sh\ncat /opt/text; exit 17\n")
    (extra / "opt" / "hello").chmod(0o755)
    (extra / "opt" / "text").write_text("from ROOTFS_EXTRA\n")
    (out / "ipc").mkdir(parents=True)
    subprocess.run(["make", f"O={out}", f"ROOTFS_EXTRA={extra}", str(out / "images" / "initramfs.cpio.gz")], cwd=TOP, check=True,
                   stdout=subprocess.DEVNULL, timeout=150,
                   env={k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "O", "MAKELEVEL")})
    linux = machine("--native", "--initrd", str(out / "images" / "initramfs.cpio.gz"), append="quiet keel.run=/opt/hello")
    linux.expect(r"from ROOTFS_EXTRA")
    assert linux.wait_exit() == 17


# --- make run ----------------------------------------------------------------------------------------------------

@pytest.fixture
def terminal(tmp_path):
    """keel-run as `make run` calls it, on a terminal."""
    LOGS.mkdir(parents=True, exist_ok=True)
    with open(LOGS / "contract-terminal.log", "w", encoding="utf-8") as log:
        run = pexpect.spawn(str(KEEL_RUN), ["--disk", str(copy_disk(tmp_path))], encoding="utf-8",
                            codec_errors="replace", timeout=200, cwd=TOP, dimensions=(24, 120), logfile=log)
        run.delaybeforesend = None
        yield run
        run.close(force=True)
    shutil.rmtree(tmp_path, ignore_errors=True)


def test_make_run_gives_two_prompts(terminal):
    """On a terminal: Linux's shell, and from there Lua's console, line by line; `exit` ends it all."""
    terminal.expect(PROMPT)
    terminal.send("keelctl console lua\r")
    terminal.expect(r"Ctrl-\] leaves")
    terminal.send("21 * 2\r")
    terminal.expect(r"42\r")
    terminal.send("name = 'keel' return name:upper()\r")
    terminal.expect("KEEL\r")
    terminal.send("\x1d")
    terminal.expect(PROMPT)
    terminal.send("cat /mnt/result.txt\r")
    terminal.expect(r"words\.txt: \d+ lines, \d+ words")
    terminal.expect(PROMPT)
    terminal.send("exit\r")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0


def test_interrupt_belongs_to_the_guest(terminal):
    """Ctrl-C stops a command in Linux's shell, not the machine; Ctrl-A x ends the machine."""
    terminal.expect(PROMPT)
    terminal.send("sh -c 'echo begin $((40 + 1)); exec sleep 1000'\r")
    terminal.expect("begin 41")
    terminal.send("\x03")
    terminal.expect(PROMPT)
    terminal.send("echo still $((40 + 2))\r")
    terminal.expect("still 42")
    terminal.send("\x01x")
    terminal.expect(pexpect.EOF)


def test_make_run_is_this(tmp_path):
    """`make run` needs nothing but make: it installs, builds, and calls keel-run with the demo's disk."""
    text = subprocess.run(["make", "-n", "run", f"O={BUILD}"], cwd=TOP, capture_output=True, text=True,
                          env={k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}).stdout
    assert "scripts/install-packages" in text
    assert re.search(r"scripts/keel-run --disk \S*run/demo\.img", text)
