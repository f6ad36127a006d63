# SPDX-License-Identifier: MIT
"""The shapes of keelctl's --json output, as docs/keelctl.md has them, and a checker for them.

A shape is a type, a pattern for strings, a tuple of alternatives, [shape of each element], or {member: shape}, whose members are all there
and no others.
"""
import json
import re

BYTES = COUNT = int
HEX = "0x[0-9a-f]+"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
NAME = r"[a-z0-9][a-z0-9_-]{0,30}"
PARTITION = {
    "name": NAME, "state": "empty|running|blocked|exited|faulted|crashed|stopped", "ring": int, "vcpus": int, "priority": int,
    "memory_bytes": BYTES, "cpu_ns": int, "shadow_pages": COUNT, "shadow_used": COUNT, "status": (int, None), "reason": (str, None),
    "fault": ({"vector": int, "error": HEX, "rip": HEX, "rsp": HEX, "cr2": HEX}, None),
}
JOB = {
    "image": str, "arguments": [str], "environment": [".+"], "volumes": [{"host": "/.*", "path": "/.*", "writable": bool}],
    "memory_bytes": BYTES, "vcpus": int, "priority": int, "cpus": HEX, "directory": "/.*", "running": bool, "keeper": (int, None),
    "restarts": COUNT, "started": TIME, "ended": (TIME, None), "status": (int, None), "said": (str, None),
}
DOCUMENTS = {
    "ps": {"keelctl": int, "partitions": [PARTITION]},
    "top": {"keelctl": int, "interval_ms": int, "partitions": [{**PARTITION, "cpu_permille": int, "entries_per_s": int}]},
    "images": {"keelctl": int, "images": [{"name": str, "bytes": BYTES}]},
    "inspect": {"keelctl": int, "name": NAME, "partition": (PARTITION, None), "job": (JOB, None)},
    "stats": {"keelctl": int, "name": NAME, "counters": dict},
}


def fits(value, shape):
    """Whether a value has this shape."""
    if isinstance(shape, tuple):
        return any(fits(value, one) for one in shape)
    if isinstance(shape, list):
        return isinstance(value, list) and all(fits(one, shape[0]) for one in value)
    if isinstance(shape, dict):
        return isinstance(value, dict) and value.keys() == shape.keys() and all(fits(value[k], shape[k]) for k in shape)
    if isinstance(shape, str):
        return isinstance(value, str) and re.fullmatch(shape, value) is not None
    return value is None if shape is None else type(value) is shape		# True is no number


def document(command, text):
    """What `keelctl COMMAND --json` printed -> its content, of the shape that is documented."""
    found = json.loads(text)
    assert fits(found, DOCUMENTS[command]) and found["keelctl"] == 1, text
    return found
