# SPDX-License-Identifier: MIT
"""Rows of the JSON files, and tables to read."""
import json
import math
import statistics
from .machine import OUT


def number(value, unit):
    if value is None:
        return None
    return round(value, 3) if unit in ("s", "times") else round(value)


def row(name, unit, keel, native=None, xen=None, **extra):
    ratio = round(keel / native, 3) if keel is not None and native else None
    insns = None
    if unit == "instructions" and keel is not None:
        insns = round(keel - native) if native is not None else round(keel)
    return {"name": name, "unit": unit, "keel": number(keel, unit), "native": number(native, unit), "xen": xen,
            "ratio": ratio, "insns": insns} | extra


def geomean(values):
    return math.exp(sum(map(math.log, values)) / len(values))


def both(keel, native, unit="instructions"):
    """A row for each operation that both sides have, and those of one side after them."""
    names = [n for n in native if n in keel]
    names += [n for n in keel if n not in native]
    return [row(n, unit, keel[n], native.get(n)) for n in names]


def mean_row(rows, suffix=""):
    pairs = [(r["keel"], r["native"]) for r in rows if r["ratio"]]
    return row("geomean" + suffix, rows[0]["unit"], *(geomean(side) for side in zip(*pairs)))


def wall_rows(sides, unit="ns", suffix="_wall", xen=None):
    """Medians of rounds, with the least and the greatest of each side."""
    rows = []
    for name, keel in sides["keel"].items():
        native = sides["native"].get(name)
        rows.append(row(name + suffix, unit, statistics.median(keel), statistics.median(native) if native else None,
                        (xen or {}).get(name), spread={"keel": [number(f(keel), unit) for f in (min, max)],
                                                       "native": native and [number(f(native), unit) for f in (min, max)]}))
    return rows


def write(area, rows):
    (OUT / f"{area}.json").write_text(json.dumps(rows, indent=1) + "\n")


def figure(value):
    return "" if value is None else f"{value:,}"


def show(area, rows, entries=None):
    print(f"\n{area + '.json':26} {'unit':12} {'native':>14} {'Keel':>14} {'ratio':>6}"
          + ("  entries per operation, by cause" if entries else ""))
    for r in rows:
        of = (entries or {}).get(r["name"], {})
        tail = " ".join(f"{c} {v:g}" for c, v in sorted(of.items(), key=lambda x: -x[1]) if v >= 0.005)
        if r.get("spread"):
            tail = "  ".join(f"{side} {low:,}..{high:,}" for side, (low, high) in
                             ((s, r["spread"][s]) for s in ("native", "keel") if r["spread"][s]))
        ratio = "" if r["ratio"] is None else f"{r['ratio']:.2f}"
        print(f"{r['name']:26} {r['unit']:12} {figure(r['native']):>14} {figure(r['keel']):>14} {ratio:>6}  {tail}".rstrip())
