#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Check the metakernel's machine code: what runs in ring 0 under a partition's page tables uses only
constant addresses and its own entry stack, and no code of the metakernel branches indirectly. Returns are
predicted too: a partition may fill the CPU's return stack before it enters. None of that is used as long as each
return is of a call since the entry, and calls are nested less deeply than the CPU remembers.

usage: tests/check/trampoline.py [keel.elf]
"""
import re
import subprocess
import sys
from pathlib import Path

DEFAULT = Path(__file__).resolve().parents[2] / "build/images/keel.elf"
# Everything the trampoline may consist of: moves between registers, the entry stack and constants.
TRAMP_OK = {"push", "pop", "mov", "movabs", "jmp", "je", "jne", "js", "jz", "jnz", "test", "testb", "cmp", "cmpb",
            "incl", "add", "iretq", "nop", "nopw", "nopl", "cs", "data16", "xchg", "pushq", "popq", "cmpq", "clac", "cld", "lea",
            "int3", "and", "andl", "testl"}
NEVER = re.compile(r"\b(call|ret|retq|lret|lretq|syscall|sysret|swapgs|wrmsr|lgdt|lidt|ltr|lldt)\b")


# The manifest is parsed before the first partition runs, so nobody can have trained its branches.
AT_BOOT = re.compile(r"<(read_list|manifest_parse)[.\w]*>:")


def disassemble(elf, section):
    """(address, mnemonic, operands) of each instruction."""
    text = subprocess.run(["objdump", "-d", "--no-show-raw-insn", "-j", section, elf],
                          capture_output=True, text=True, check=True).stdout
    at_boot = False
    for line in text.splitlines():
        if line.endswith(">:"):
            at_boot = bool(AT_BOOT.search(line))
        if at_boot:
            continue
        found = re.match(r"\s*([0-9a-f]+):\s+(\S+)\s*(.*)", line)
        if found:
            yield found.group(1), found.group(2), found.group(3).split("#")[0].split("<")[0].strip()


def wrong_in_trampoline(op, args):
    if NEVER.search(f"{op} {args}"):
        return "not an instruction for the trampoline"
    if op.startswith("j") and args.startswith("*"):
        return "indirect jump"
    if "%gs" in args or "%fs" in args:
        return "segment register"
    if op not in TRAMP_OK:
        return "instruction not on the list"
    if op in ("nopw", "nopl", "nop", "cs", "data16", "xchg"):
        return None if op != "xchg" or args == "%ax,%ax" else "instruction not on the list"
    for base in re.findall(r"\(([^)]*)\)", args):
        if base != "%rsp":
            return f"memory through {base}"
    return None


RETURN_STACK = 16	# the smallest of the CPUs there are
NO_RETURN = re.compile(r"panic_(at|regs)")


def branches(elf):
    """Where each function calls and jumps to -> {name: {(name, 1 for a call)}}; a panic does not come back."""
    text = subprocess.run(["objdump", "-d", "--no-show-raw-insn", "-j", ".text", elf],
                          capture_output=True, text=True, check=True).stdout
    found, name = {}, None
    for line in text.splitlines():
        label = re.match(r"[0-9a-f]+ <(\S+)>:$", line)
        if label:
            name = label.group(1)
            found[name] = set()
            continue
        to = re.search(r"\t(call|j\w+)\s+[0-9a-f]+ <([^+>]+)(\+0x\w+)?>", line)
        if not to or NO_RETURN.match(to.group(2)):
            continue
        call = to.group(1) == "call"
        if to.group(2) != name or (call and not to.group(3)):	# into its middle: what fills the return stack
            found[name].add((to.group(2), int(call)))
    return found


def depths(graph):
    """How deeply calls nest in each function; RETURN_STACK + 1 stands for more, and for recursion."""
    depth, changed = dict.fromkeys(graph, 0), True
    while changed:
        changed = False
        for name, targets in graph.items():
            new = max((min(depth.get(to, 0) + call, RETURN_STACK + 1) for to, call in targets), default=0)
            changed |= new != depth[name]
            depth[name] = new
    return depth


def main():
    elf = sys.argv[1] if len(sys.argv) > 1 else DEFAULT
    bad = seen = 0
    for at, op, args in disassemble(elf, ".tramp_text"):
        seen += 1
        why = wrong_in_trampoline(op, args)
        if why:
            print(f"trampoline {at}: {op} {args}: {why}")
            bad += 1
    if seen < 300:		# 256 stubs at least
        print(f"only {seen} instructions in the trampoline")
        bad += 1
    for at, op, args in disassemble(elf, ".text"):
        seen += 1
        if re.match(r"(jmp|call)", op) and args.startswith("*") or re.match(r"(jmp|call)q?$", op) and "*" in args:
            print(f"metakernel {at}: {op} {args}: indirect branch")
            bad += 1
    depth = depths(branches(elf))
    for entry in ("trap_handle", "mk_trap_handle"):	# called by mk_entry and mk_trap
        if not 5 < depth[entry] < RETURN_STACK:
            print(f"{entry}: calls nest {depth[entry]} deep: a return may be predicted by what a partition left")
            bad += 1
    print(f"{seen} instructions, {bad} wrong; calls nest {depth['trap_handle'] + 1} deep")
    sys.exit(1 if bad else 0)


main()
