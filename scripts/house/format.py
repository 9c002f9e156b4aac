#!/usr/bin/env python3
"""Checks that clang-format 14 formats the code as it is, with .clang-format. Another version checks nothing."""
import concurrent.futures
import os
import subprocess
import sys

import tree


def breaches_of(paths):
    result = subprocess.run(["clang-format", "--dry-run", "--Werror", *paths], check=False, text=True,
                            capture_output=True)
    return [result.stderr.rstrip()] if result.returncode else []


if __name__ == "__main__":
    if not tree.made_for("clang-format"):
        sys.exit(0)
    code = tree.files(tree.CODE)
    parts = [code[i::os.cpu_count()] for i in range(os.cpu_count())]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        tree.finish([breach for found in pool.map(breaches_of, filter(None, parts)) for breach in found])
