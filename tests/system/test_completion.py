# SPDX-License-Identifier: MIT
"""bash's completion of keelctl's command line, on the host: no machine is needed.

Failure looks like a word that is missing, or one too many, among those that bash would offer.
"""
import os
import re
import subprocess

import pytest
from conftest import TOP

pytestmark = [pytest.mark.group("run"), pytest.mark.limit(60), pytest.mark.own_cpus]

KEELCTL = TOP / "ipc" / "linux" / "keelctl"


@pytest.fixture(name="complete")
def completer(tmp_path):
    """complete("run", "l") -> what is offered for the last word."""
    for name in ("images/lua.elf", "images/other.elf", "images/notes.txt", "jobs/job-1.job", "jobs/job-1.log", "jobs/other.job",
                 "here/one.lua", "here/dir/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "bin").mkdir()
    fake = tmp_path / "bin" / "keelctl"
    fake.write_text("#!/bin/sh\n[ \"$1\" = ps ] && printf 'NAME STATE\\nlinux running\\nlua blocked\\n    fault: x\\n'\n")
    fake.chmod(0o755)
    env = os.environ | {"KEELCTL_IMAGES": str(tmp_path / "images"), "KEELCTL_JOBS": str(tmp_path / "jobs"), "SECRET": "1",
                        "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}

    def complete(*words):
        script = ('source "$1"; shift; complete -p keelctl >/dev/null || exit 1; COMP_WORDS=(keelctl "$@"); COMP_CWORD=$#; '
                  '_keelctl; printf "%s\\n" "${COMPREPLY[@]}"')
        said = subprocess.run(["bash", "--norc", "-c", script, "bash", KEELCTL / "completion.bash", *words], env=env,
                              cwd=tmp_path / "here", capture_output=True, text=True, check=True)
        assert said.stderr == ""
        return sorted(said.stdout.split())
    return complete


def test_completion_of_commands(complete):
    """All commands there are, and no others."""
    commands = re.findall(r'\{ "(\w+)", cmd_', (KEELCTL / "main.c").read_text())
    assert [word for word in complete("") if not word.startswith("-")] == sorted(commands)
    assert complete("re") == ["restart"] and complete("-d", "/dev/keel", "im") == ["images"]


def test_completion_of_options(complete):
    source = (KEELCTL / "options.c").read_text()
    longs = re.findall(r'\{ "([\w-]+)", (?:no|required)_argument', source)
    assert [word for word in complete("run", "--")] == sorted(f"--{name}" for name in longs)
    assert complete("run", "--restart", "o") == ["on-failure"] and complete("run", "-e", "SECRE") == ["SECRET"]
    assert complete("top", "-") == ["--json", "-d", "-n"] and complete("inspect", "--j") == ["--json"]


def test_completion_of_images_and_files(complete):
    """An image first, what follows it is the program's."""
    assert complete("run", "") == ["lua", "other"] and complete("run", "--name", "x", "-d", "l") == ["lua"]
    assert complete("run", "./o") == ["./one.lua"] and complete("run", "lua", "o") == ["one.lua"]
    assert complete("run", "-v", "") == ["dir"] and complete("run", "--name", "") == []


def test_completion_of_names(complete):
    assert complete("logs", "") == complete("wait", "") == ["job-1", "other"]
    assert complete("rm", "job-1", "o") == ["other"]
    assert complete("stop", "") == ["job-1", "linux", "lua", "other"] and complete("console", "lu") == ["lua"]
    assert complete("ps", "") == complete("log", "") == []
