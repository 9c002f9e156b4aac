#!/usr/bin/env python3
"""Checks the sizes of files, and for text that does not belong into them. clang-tidy checks the length of functions."""
import os
import re

import tree

LIMITS = {".hpp": 200, ".cuh": 200, ".cpp": 350, ".cu": 350, ".js": 350}
MOST = 600  # for any text written by hand; a test is a list of cases and may have this length
WRITTEN = (".hpp", ".cpp", ".cu", ".cuh", ".py", ".cmake", ".txt", ".md", ".toml", ".json", ".js", ".css", ".html")
NOT_WRITTEN = ("configs/quickstart/moby-dick.txt", "LICENSE", "apps/report/web/uplot/uPlot.iife.min.js",
               "apps/report/web/uplot/uPlot.min.css")
MARKS = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")  # in two parts, because this file is checked too


def limit_of(path):
    if path.startswith("tests/"):
        return MOST
    return LIMITS.get(os.path.splitext(path)[1], MOST)


def is_script(path):
    return path.startswith("scripts/") and "." not in os.path.basename(path)


def breaches_of(path):
    lines = tree.read(path).splitlines()
    if len(lines) > limit_of(path):
        yield f"{path}: {len(lines)} lines, {limit_of(path)} are the most: split it by the reader's question"
    for number, line in enumerate(lines, start=1):
        if MARKS.search(line):
            yield f"{path}:{number}: {MARKS.search(line).group()}: do it, or write an issue"
        if "\t" in line:
            yield f"{path}:{number}: a tab"


if __name__ == "__main__":
    written = [path for path in tree.files() if path.endswith(WRITTEN) or is_script(path)]
    tree.finish([breach for path in written if path not in NOT_WRITTEN for breach in breaches_of(path)])
