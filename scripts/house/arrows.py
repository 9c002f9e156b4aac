#!/usr/bin/env python3
"""Includes follow the arrows of the house (docs/architecture.md): a folder sees those named here and itself."""
import os

import tree

ARROWS = {
    "core": set(),
    "autograd": {"core"},
    "nn": {"core", "autograd"},
    "data": {"core"},
    "distributed": {"core", "nn", "data", "optim"},
    "moe": {"core", "autograd", "nn", "distributed"},
    "optim": {"core"},
}
ARROWS["apps"] = set(ARROWS)
ARROWS["tests"] = set(ARROWS)
GENERATED = ("build_version.hpp",)  # written by the build
OUTSIDE = ("tests/consumer/",)  # a project of its own, that sees the installed package


def breaches_of(path):
    folder = path.split("/")[0]
    for line, quote, name in tree.includes(path):
        target = name.split("/")[0]
        where = f"{path}:{line}: includes {quote}{name}{'>' if quote == '<' else quote}"
        if quote == "<":
            if target in ARROWS and "/" in name:
                yield f"{where}: a file of the project, so it takes quotes"
        elif name in GENERATED:
            continue
        elif not os.path.isfile(name):
            yield f"{where}: no such file from the root of the project"
        elif target != folder and target not in ARROWS[folder]:
            allowed = ", ".join(sorted(ARROWS[folder] | {folder}))
            yield f"{where}: {folder} may include from {allowed}"


if __name__ == "__main__":
    code = [path for path in tree.files(tree.CODE) if not path.startswith(OUTSIDE)]
    strays = [f"{path}: code belongs into one of {', '.join(ARROWS)}" for path in code
              if path.split("/")[0] not in ARROWS]
    inside = [path for path in code if path.split("/")[0] in ARROWS]
    tree.finish(strays + [breach for path in inside for breach in breaches_of(path)])
