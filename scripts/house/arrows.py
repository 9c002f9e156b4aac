#!/usr/bin/env python3
"""Checks that includes follow the arrows in docs/architecture.md. A folder may include from itself and from the
folders named here. Its subfolders do not include each other in a circle."""
import os

import tree

ARROWS = {
    "core": set(),
    "autograd": {"core"},
    "nn": {"core", "autograd"},
    "data": {"core"},
    "distributed": {"core", "nn", "data", "optim"},
    "moe": {"core", "autograd", "nn", "distributed", "optim"},
    "optim": {"core"},
}
ARROWS["apps"] = set(ARROWS)
ARROWS["tests"] = set(ARROWS)
GENERATED = ("build_version.hpp",)  # the build writes it
CATCH = "tests/support/catch.hpp"  # supports both versions of Catch2
OUTSIDE = ("tests/consumer/",)  # a separate project that sees only the installed package


def breaches_of(path):
    folder = path.split("/")[0]
    for line, quote, name in tree.includes(path):
        target = name.split("/")[0]
        where = f"{path}:{line}: includes {quote}{name}{'>' if quote == '<' else quote}"
        if quote == "<":
            if target in ARROWS and "/" in name:
                yield f"{where}: a file of the project, so it takes quotes"
            if target == "catch2" and path != CATCH:
                yield f"{where}: include {CATCH}, which knows both versions of Catch2"
        elif name in GENERATED:
            continue
        elif not os.path.isfile(name):
            yield f"{where}: no such file from the root of the project"
        elif target != folder and target not in ARROWS[folder]:
            allowed = ", ".join(sorted(ARROWS[folder] | {folder}))
            yield f"{where}: {folder} may include from {allowed}"


def includes_between_folders(paths):
    """{folder: {a folder that it includes from: an include that does so}}"""
    between = {}
    for path in paths:
        folder = os.path.dirname(path)
        for line, quote, name in tree.includes(path):
            target = os.path.dirname(name)
            if quote == '"' and target != folder and os.path.isfile(name):
                between.setdefault(folder, {}).setdefault(target, f'{path}:{line}: includes "{name}"')
    return between


def way(between, start, end):
    """The shortest list of folders from start to end, each of which includes from the next. None if there is none."""
    ways, seen = [[start]], {start}
    while ways:
        here = ways.pop(0)
        if here[-1] == end:
            return here
        for folder in sorted(between.get(here[-1], {})):
            if folder not in seen:
                seen.add(folder)
                ways.append([*here, folder])
    return None


def circles(paths):
    between, told = includes_between_folders(paths), set()
    for folder in sorted(between):
        for target in sorted(between[folder]):
            back = way(between, target, folder)
            if back is None or frozenset(back) in told:
                continue
            told.add(frozenset(back))
            yield f"{between[folder][target]}, which closes a circle of folders: {' -> '.join([folder, *back])}"


if __name__ == "__main__":
    code = [path for path in tree.files(tree.CODE) if not path.startswith(OUTSIDE)]
    strays = [f"{path}: code belongs into one of {', '.join(ARROWS)}" for path in code
              if path.split("/")[0] not in ARROWS]
    inside = [path for path in code if path.split("/")[0] in ARROWS]
    library = [path for path in inside if not path.startswith("tests/")]
    tree.finish(strays + [breach for path in inside for breach in breaches_of(path)] + list(circles(library)))
