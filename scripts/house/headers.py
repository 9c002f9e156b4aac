#!/usr/bin/env python3
"""Checks that headers compile alone. Usage: headers.py BUILD

A source includes its own header first, so building the source proves the header. Headers without a source are
compiled here. What passed is remembered by content under build/house."""
import os
import subprocess
import sys

import compiler
import tree

OUTSIDE = (".cuh",)  # compiled by nvcc; every .cu includes its own header first, too


def source_of(header):
    return os.path.splitext(header)[0] + ".cpp"


def order_breaches(header):
    first = next((name for _, _, name in tree.includes(source_of(header))), "")
    if first != header:
        yield f"{source_of(header)}: includes {first} before its own header {header}"


if __name__ == "__main__":
    flags = compiler.flags(sys.argv[1])
    headers = [path for path in tree.files((".hpp",)) if not path.endswith(OUTSIDE)]
    alone = [path for path in headers if not os.path.isfile(source_of(path))]

    def compile_alone(header):
        result = subprocess.run(["c++", *flags, "-fsyntax-only", "-x", "c++", "-"], text=True, check=False,
                                input=f'#include "{header}"\n', capture_output=True)
        return f"{header} does not compile alone:\n{result.stderr}" if result.returncode else ""

    breaches = [breach for path in headers if path not in alone for breach in order_breaches(path)]
    keys = {path: tree.digest(path, *flags) for path in alone}
    tree.finish(breaches + list(compiler.run_kept(compile_alone, keys)))
