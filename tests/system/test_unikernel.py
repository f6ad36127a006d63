# SPDX-License-Identifier: MIT
"""Lua in ring 1 on the metakernel, without Linux: it starts from the bundle alone."""
import re
import pytest

pytestmark = pytest.mark.group("unikernel")

# Unikraft's Lua: 96,332 instructions from its entry to main().
MAX_START_INSTRUCTIONS = 20_000

PARTITION = """
		%(name)s {
			kind = "unikernel";
			image = "lua.elf";
			memory = /bits/ 64 <%(memory)d>;
			priority = <8>;
			shadow-pages = <64>;
			cmdline = "%(cmdline)s";
			modules = "%(name)s.lua";
		};
"""


@pytest.fixture
def luas(machine, bundle, tmp_path):
    """Boot a machine of Lua partitions only: luas({"a": "print(1)"}, memory=..., env=..., options=())."""
    def start(scripts, *options, memory=2 << 20, env=""):
        parts, files = "", {}
        for name, text in scripts.items():
            files[f"{name}.lua"] = tmp_path / f"{name}.lua"
            files[f"{name}.lua"].write_text(text)
            parts += PARTITION % {"name": name, "memory": memory, "cmdline": f"{env} lua /boot/{name}.lua x"}
        dts = '/dts-v1/;\n/ {\n\tcompatible = "keel,system-1";\n\tpartitions {%s\t};\n};\n' % parts
        return machine("--bundle", bundle(dts, files), "--mem", "128M", *options, timeout=60)

    return start


def test_lua_runs_alone(luas):
    """A script of the bundle runs with its arguments; files of a Linux that is not there are an error."""
    keel = luas({"a": "print('hello ' .. _VERSION, ...) print(io.open('/mnt/x')) os.exit(3)"})
    keel.expect(r"hello Lua 5\.4\s+x\r?\n")
    keel.expect(r"No such device or address")
    keel.expect(r"a: exited: status 3")
    keel.wait_exit()


def test_lua_starts_in_few_instructions(luas):
    """Entry to main(), page fills of the metakernel included, counted exactly."""
    keel = luas({"a": "print('up')"}, "--icount", env="KEEL_TIMES=1")
    ticks = int(keel.expect(r"from entry to main\(\): (\d+)\s").group(1))
    khz = int(re.search(r"TSC (\d+) kHz", keel.log.read_text(errors="replace")).group(1))
    keel.expect("up")
    # One instruction a nanosecond; the TSC's rate says how many ticks that is.
    assert 500 < ticks * 1_000_000 // khz < MAX_START_INSTRUCTIONS


def test_lua_runs_in_512_kib(luas):
    """512 KiB, the least a manifest may give, hold image, tables, stack and a working heap."""
    keel = luas({"a": "local t = {} for i = 1, 500 do t[i] = i .. '' end print(#table.concat(t, ','))"},
                memory=512 << 10)
    keel.expect(r"\b1891\r?\n")
    keel.expect(r"a: exited: status 0")


def test_exhaustion_ends_in_lua_errors(luas):
    """No memory and no stack are errors a script can catch; the partition goes on."""
    keel = luas({"a": """
local function f() return (string.gsub('x', 'x', f)) end
print('stack', pcall(f))
print('heap', pcall(function() local t = {} for i = 1, 1e8 do t[i] = {i} end end))
collectgarbage() print('alive', #string.rep('x', 100000))
"""})
    keel.expect(r"stack\s+false\s+[^\n]*stack overflow")
    keel.expect(r"heap\s+false\s+not enough memory")
    keel.expect(r"alive\s+100000")
    keel.expect(r"a: exited: status 0")


def test_two_luas_run_side_by_side(luas):
    """Two partitions of one image take turns; the end of one does not end the other."""
    work = "local n = 0 for i = 1, 2e6 do n = n + i %% 7 end print(%r, n)"
    keel = luas({"a": work % "first", "b": work % "second"})
    seen = {keel.expect(r"(first|second)\s+5999997\b").group(1), keel.expect(r"(first|second)\s+5999997\b").group(1)}
    assert seen == {"first", "second"}
