# SPDX-License-Identifier: MIT
"""
smp.json: two CPUs, on Keel and the same Linux natively with two, tests/bench/ops_smp.c. Instructions are those of
both CPUs together: with -icount QEMU runs the CPUs in turn on one clock, and who waits for the other CPU says
PAUSE, which hands over; so they say what an operation costs, not how much of it happens at the same time. That
is in the _wall rows, without -icount, where each CPU is a thread of QEMU: they mean little on a host of less than
two idle cores. `shootdown` is what a thread on the other CPU adds to taking a right from a page, on both sides.
job, make_j2, two_lua_and_job: with -icount QEMU 7.2 begins with CPU 0 after each timer and goes on to CPU 1 only where CPU 0 sleeps or
says PAUSE, so most of these is done by CPU 0, and little of it crosses: they say what the work costs on a kernel for two CPUs. Their
_wall rows are of both CPUs, which make_j2 makes sure of.
make_j2: `make -j2` of Lua's sources with gcc and binutils of this host, the second time: all files are in memory.
two_lua_and_job: three pieces of work beside each other, always the same: a number computed by each of two peers, or natively of two
processes, and in Linux the job; until all are done. Who has how much of the CPUs when is for each side to decide, and changes
neither the work nor how many instructions of both CPUs it takes.

call_*_cross: a call to a server on another CPU and its answer, tests/bench/peer/call.c; ticks are those of both CPUs.
kick_*_cross: a doorbell between peers on different CPUs, tests/bench/peer/pair.c; nothing native is like it.
  kick_wake_cross             both CPUs' instructions, from before the call to the sleeper's first one
  kick_wake_cross_ringer      those of them in the ringer's call
  kick_roundtrip_cross        there and back, both sleep
  polled_roundtrip_cross      a word to one that polls on the other CPU and back; nobody enters the metakernel
  kick_roundtrip_cross_wall   how many times as long as on one CPU (kick_roundtrip of ipc.json), in wall time
"""
import re
import statistics
from . import ipc, machine, table
from .linux import instructions, nanoseconds

CPUS = ["--cpus", "2"]
WALL = ("faults", "faults_4k", "pipe_cross", "job")


def boot(side, icount, args, number=0):
    name = f"smp-{side}-{'icount' if icount else f'wall{number}'}"
    operations = "" if icount else f' keel.args="{" ".join(WALL)}"'
    return machine.run(name, [*(machine.KEEL if side == "keel" else machine.NATIVE), *CPUS, "--append",
                              f"quiet norandmaps keel.run=/bench/smp_bench{operations}", *(["--icount"] if icount else [])],
                       args.timeout)


def make_j2(side, icount, args, number=0):
    """A build by two compilers at a time, on the disk of scripts/mkprogdisk, which stays as it is."""
    name = f"smp-make-{side}-{'icount' if icount else f'wall{number}'}"
    text = machine.run(name, [*(machine.KEEL if side == "keel" else machine.NATIVE), *CPUS, "--disk", machine.PEERS / "build.img",
                              "--append", "quiet norandmaps keel.run=/bench/make/run", *(["--icount"] if icount else []), "--",
                              "-snapshot"], 2 * args.timeout)
    busy = sorted(int(ticks) for ticks in re.findall(r"BUSY (\d+) (\d+)", text)[-1])
    if not icount and busy[0] * 2 < busy[1]:
        machine.fail(name, f"the run `{name}` was not on two CPUs")
    return text


def beside_lua(side, icount, args, number=0):
    """Two that compute in Lua and Linux's job beside them, from the first one's begin to the last one's end -> ticks"""
    name = f"smp-lua-{side}-{'icount' if icount else f'wall{number}'}"
    options = ["--bundle", machine.PEERS / "lua2.bundle"] if side == "keel" else \
        [*machine.NATIVE, "--append", 'quiet norandmaps keel.run=/bench/lua/beside']
    text = machine.run(name, [*options, *CPUS, *(["--icount"] if icount else [])], args.timeout)
    around = [int(tsc) for tsc in re.findall(r"WORK linux (\d+)", text)]
    lua = [(int(begun), int(ended)) for begun, ended in re.findall(r"WORK lua (\d+) (\d+)", text)]
    beside = [(begun, ended) for begun, ended in lua if around and around[0] < begun and ended < around[-1]]
    if len(around) != 2 or len(beside) != 2 or "BENCH job " not in text:
        machine.fail(name, f"in the run `{name}` not all three did their work")
    return {"two_lua_and_job": around[1] - around[0]}


def doorbell_wall(args):
    """Each round: the best round trip of a run on two CPUs, by that of a run on one."""
    times = []
    for number in range(1, args.rounds + 1):
        here = ipc.peer_run("pair", args, f"wall{number}")["kick_roundtrip"]
        times.append(ipc.peer_run("pair2", args, f"wall{number}", CPUS)["kick_roundtrip_cross"] / here)
    return table.row("kick_roundtrip_cross_wall", "times", statistics.median(times),
                     spread={"keel": [table.number(f(times), "times") for f in (min, max)], "native": None})


def with_shootdown(costs):
    """Of two mprotect() one takes a right away."""
    return costs | {"shootdown": 2 * (costs["mprotect_shared"] - costs["mprotect_alone"])}


def measure(args):
    text = boot("keel", True, args)
    rows = table.both(with_shootdown(instructions(text)), with_shootdown(instructions(boot("native", True, args))))
    rows += table.both(*(instructions(make_j2(side, True, args)) for side in ("keel", "native")))
    rows += table.both(*(beside_lua(side, True, args) for side in ("keel", "native")))
    rows += [table.row(name, "instructions", cost) for bundle in ("pair2", "call2")
             for name, cost in ipc.peer_run(bundle, args, options=CPUS).items()]
    if not args.no_wall:
        rows.append(doorbell_wall(args))
        rows += table.wall_rows(machine.rounds(args, lambda side, n: nanoseconds(boot(side, False, args, n))))
        rows += table.wall_rows(machine.rounds(args, lambda side, n: nanoseconds(make_j2(side, False, args, n))))
        rows += table.wall_rows(machine.rounds(args, lambda side, n: beside_lua(side, False, args, n)), "ticks")
    table.write("smp", rows)
    table.show("smp", rows, machine.entries(text))
