# SPDX-License-Identifier: MIT
"""Harness of the system tests: boots machines with scripts/keel-run and talks to their serial port.

A test takes the `machine` fixture, a function that starts a Machine. Serial output is kept in
build/log/GROUP-NAME.log; a failing test's traceback is appended there. Each test is in a group
(`pytestmark = pytest.mark.group("boot")` in its file, or on the function) and ends, one way or the
other, within its `@pytest.mark.limit(seconds)` (default 300).

The same tests run with several CPUs: at KEEL_CPUS=2 each machine that names no number has two, tests
are called GROUP/NAME@2, and those of the files and groups below are left out. What is too long for
CI has `@pytest.mark.full`, or takes its length from FULL; KEEL_FULL=1 runs it.

scripts/run-tests passes KEEL_TESTS (patterns of GROUP/NAME), KEEL_GROUPS, KEEL_CPUS, KEEL_FULL and
KEEL_RESULTS (a file descriptor that gets one line per test).
"""
import fnmatch
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pexpect
import pytest

TOP = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("O") or "build")
BUILD = BUILD if BUILD.is_absolute() else TOP / BUILD
IMAGES = BUILD / "images"
DEFAULT_LIMIT = 300
CPUS = int(os.environ.get("KEEL_CPUS") or 1)
AT = "" if CPUS == 1 else f"@{CPUS}"
LOGS = BUILD / "log" / (f"{CPUS}-cpus" if AT else "")
FULL = bool(os.environ.get("KEEL_FULL"))
# Groups whose tests run Linux's programs: with several CPUs in CI, too; in the full run all groups but the last.
CI_WITH_CPUS = ("stress", "guest", "selftest")
NEVER_WITH_CPUS = ("security", "refused", "unikernel", "ring", "lines", "panic")
PROMPT = r"keel:[^\r\n]*# "


class Machine:
    """One booted machine. Its keel-run ends by itself after `timeout` seconds, whatever happens here."""

    def __init__(self, log, options, append, timeout):
        self.log = log
        command = [str(TOP / "scripts" / "keel-run"), "--log", str(log), "--timeout", str(timeout)]
        command += [*([] if "--cpus" in options else ["--cpus", str(CPUS)]), *options]
        if append:
            command += ["--append", append]
        self.process = pexpect.spawn(command[0], command[1:], encoding="utf-8", codec_errors="replace",
                                     timeout=timeout, echo=False, cwd=TOP, dimensions=(24, 200))
        self.process.delaybeforesend = None

    def expect(self, pattern, timeout=-1):
        """Wait for a regular expression (or the first of several); returns the match object."""
        self.process.expect(pattern, timeout=timeout)
        return self.process.match

    @property
    def before(self):
        """What came before the last match."""
        return self.process.before

    def send(self, text):
        self.process.send(text)

    def shell(self, command, timeout=-1):
        """Give the Linux shell a command at its prompt; returns its output and sets self.status.

        Whole lines of other partitions and of the metakernel ("[lua] ...") are left out. They can also
        come in the middle of a line, so a test that has a peer talking should ask for the status.
        """
        # "@" in quotes, so that the echo of the command line is not taken for the marks. Somebody's line may cut theirs.
        self.process.send(f"echo \"@\"begin; {command}; echo \"@\"done $?\r")
        self.process.expect(r"@begin(?:\[[^\n]*)?\s*\n", timeout=timeout)
        self.process.expect(r"@done (\d+)(?:\[[^\n]*)?\s*\n", timeout=timeout)
        self.status = int(self.process.match.group(1))
        lines = self.process.before.replace("\r", "").split("\n")
        self.process.expect(PROMPT, timeout=timeout)
        return "\n".join(line for line in lines if not re.match(r"\[[a-z][a-z0-9-]*\] ", line)).strip()

    def wait_prompt(self, timeout=-1):
        return self.expect(PROMPT, timeout)

    def wait_exit(self, timeout=-1):
        """Wait for the machine to end; returns keel-run's exit status."""
        self.process.expect(pexpect.EOF, timeout=timeout)
        self.process.close()
        return self.process.exitstatus if self.process.exitstatus is not None else -self.process.signalstatus

    def stop(self):
        if self.process.isalive():
            self.process.kill(signal.SIGTERM)
            try:
                self.process.expect(pexpect.EOF, timeout=5)
            except pexpect.TIMEOUT:
                pass
        self.process.close(force=True)


def test_group(item):
    mark = item.get_closest_marker("group")
    return mark.args[0] if mark else "boot"


def test_name(item):
    """test_program[keel-storm] is called keel-storm: the parameters say which test it is."""
    found = re.fullmatch(r"test_\w+\[(.+)\]", item.name)
    return found.group(1) if found else re.sub(r"^test_", "", item.name)


def full_name(item):
    return f"{test_group(item)}/{test_name(item)}{AT}"


def log_of(item, number=1):
    base = re.sub(r"[^\w.-]+", "-", f"{test_group(item)}/{test_name(item)}")
    return LOGS / (f"{base}.log" if number == 1 else f"{base}-{number}.log")


@pytest.fixture
def machine(request):
    """Start a machine: machine("--cpus", "2", append="keel.run=/bin/true", timeout=60)."""
    started = []

    def start(*options, append="", timeout=240):
        LOGS.mkdir(parents=True, exist_ok=True)
        options = list(options)
        if "--native" in options and "--initrd" not in options:
            options += ["--initrd", str(IMAGES / "initramfs-test.cpio.gz")]
        elif not {"--native", "--iso", "--uefi", "--bundle"} & set(options):
            options += ["--bundle", str(IMAGES / "test.bundle")]
        started.append(Machine(log_of(request.node, len(started) + 1), options, append, timeout))
        return started[-1]

    yield start
    for one in started:
        one.stop()


@pytest.fixture
def disk(tmp_path):
    """A fresh copy of the demo disk."""
    copy = tmp_path / "demo.img"
    subprocess.run(["cp", "--sparse=always", IMAGES / "demo.img", copy], check=True)
    yield str(copy)
    copy.unlink(missing_ok=True)


@pytest.fixture
def bundle(tmp_path):
    """Make a bundle from manifest text: bundle(dts, {"demo.lua": path}) -> path for --bundle."""
    def make(dts, files=None):
        manifest = tmp_path / "system.dts"
        manifest.write_text(dts)
        given = {"initramfs.cpio.gz": IMAGES / "initramfs-test.cpio.gz", **(files or {})}
        out = tmp_path / "keel.bundle"
        subprocess.run([TOP / "scripts/mkbundle", "-I", IMAGES, "-o", out, manifest,
                        *[f"{k}={v}" for k, v in given.items()]], check=True)
        return str(out)

    yield make
    shutil.rmtree(tmp_path, ignore_errors=True)


# --- selection, time limits, results --------------------------------------------------------------

def pytest_configure(config):
    config.addinivalue_line("markers", "group(name): which group the test belongs to")
    config.addinivalue_line("markers", "limit(seconds): the test fails after this time")
    config.addinivalue_line("markers", "full: too long for CI, runs in `make test-full`")
    config.addinivalue_line("markers", "own_cpus: says itself how many CPUs it has, so it runs once")


def with_cpus(group):
    return group not in NEVER_WITH_CPUS if FULL else group in CI_WITH_CPUS


def pytest_collection_modifyitems(items):
    patterns = os.environ.get("KEEL_TESTS", "").split()
    groups = os.environ.get("KEEL_GROUPS", "").split()

    def chosen(item):
        name = full_name(item)
        if item.get_closest_marker("full") and not FULL:
            return False
        if CPUS > 1 and (item.get_closest_marker("own_cpus") or not with_cpus(test_group(item))):
            return False
        return ((not groups or test_group(item) in groups) and
                (not patterns or any(fnmatch.fnmatch(name, p) or p in name for p in patterns)))

    items[:] = [item for item in items if chosen(item)]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    mark = item.get_closest_marker("limit")
    seconds = mark.args[0] if mark else DEFAULT_LIMIT

    def late(*_):
        pytest.fail(f"took longer than {seconds} s")

    signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    yield
    signal.alarm(0)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    report.keel = (full_name(item), log_of(item))


def pytest_runtest_logreport(report):
    if report.when != "call" and report.passed:
        return
    if report.when == "teardown":		# the call has been reported already
        return
    name, log = report.keel
    if report.failed:
        LOGS.mkdir(parents=True, exist_ok=True)
        with open(log, "a", encoding="utf-8") as f:
            f.write(f"\n--- {name} failed ---\n{report.longreprtext}\n")
    detail = str(report.longrepr[2]) if report.skipped else os.path.relpath(log, TOP)
    fd = os.environ.get("KEEL_RESULTS")
    if fd:
        os.write(int(fd), f"{report.outcome} {name} {detail}\n".encode())
