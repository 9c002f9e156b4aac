#!/usr/bin/env python3
"""Checks that no two files of the library give a type the same name in the same namespace. A linker would take the
members of one for those of the other, and says nothing."""
import re

import tree

NAMESPACE = re.compile(r"^(?:inline )?namespace ([\w:]*)\s*\{")
TYPE = re.compile(r"^(?:class|struct|enum class)\s+(\w+)(?:\s+final)?\s*(?::[^:;]*)?(?:\{|$)")


def types_of(path):
    """(line, full name) of every type at the outermost level of a namespace. Types without a name outside are left out."""
    inside = []
    for number, line in enumerate(tree.read(path).splitlines(), start=1):
        opened = NAMESPACE.match(line)
        if opened:
            inside.append(opened.group(1))
        elif line.startswith("}  // namespace") and inside:
            inside.pop()
        found = TYPE.match(line)
        if found and "" not in inside:
            yield number, "::".join([*inside, found.group(1)])


if __name__ == "__main__":
    first, breaches = {}, []
    for path in tree.files(tree.CODE):
        if path.startswith("tests/"):
            continue
        for number, name in types_of(path):
            if name in first and first[name][0] != path:
                breaches.append(f"{path}:{number}: {name} is also in {first[name][0]}:{first[name][1]}: rename one")
            first.setdefault(name, (path, number))
    tree.finish(breaches)
