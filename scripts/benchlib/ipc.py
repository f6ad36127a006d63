# SPDX-License-Identifier: MIT
"""
ipc.json: what entries into the metakernel, calls, doorbells and messages cost, tests/bench/peer. Peers are on one CPU;
each entry and its way out load CR3 twice.

  kick_wake        a doorbell, to the first instruction of the peer that slept: 1 entry
  kick_roundtrip   and back, both sleep: 4 entries
  call_one_way     a call, to the server's first instruction behind its own: 1 entry
  call_roundtrip   and its answer: 2 entries
  polled_64        a message of 64 bytes, both sides of a ring of such (keel/ring.h): no entry
  msg_64           the same with messages of any length (keel/msg.h)
  stream_N         N bytes into a stream and out (keel/stream.h), and by how much that is more than one memcpy() of them
"""
import re
from . import machine, table


def peer_run(name, args, wall="", options=()):
    """-> {operation: cost}, in instructions; in ticks with `wall`, which is part of the log's name"""
    log = f"ipc-{name}{wall and '-' + wall}"
    text = machine.run(log, ["--bundle", machine.PEERS / f"{name}.bundle", *([] if wall else ["--icount"]), *options],
                       min(args.timeout, 120))
    if "BENCH-END" not in text:
        machine.fail(log, f"the run `{name}` did not come to its end")
    ticks = 1 if wall else machine.ticks_an_instruction(text)
    return {m.group(1): int(m.group(2)) / ticks for m in re.finditer(r"BENCH (\S+) (\d+)", text)}


def measure(args):
    counted = peer_run("pair", args) | peer_run("call", args) | peer_run("entries", args)
    rows = [table.row(name, "instructions", cost) for name, cost in counted.items()]
    rows += [table.row(f"stream_{size}_by_memcpy", "times", counted[f"stream_{size}"] / counted[f"memcpy_{size}"])
             for size in ("64", "4k", "64k")]
    table.write("ipc", rows)
    table.show("ipc", rows)
