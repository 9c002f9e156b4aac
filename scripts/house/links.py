#!/usr/bin/env python3
"""Checks that links between files of the project lead somewhere, also to headings. Other links are not checked."""
import os
import re
import urllib.parse

import tree

FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")
LINK = re.compile(r"\[[^\]]*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
HEADING = re.compile(r"^#+\s+(.*?)\s*#*\s*$", re.MULTILINE)


def blank(match):
    return re.sub(r"[^\n]", " ", match.group())


def anchors(path):
    """The names that GitHub gives to the headings of a file."""
    names = set()
    for heading in HEADING.findall(FENCE.sub(blank, tree.read(path))):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        name = base = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        count = 0
        while name in names:
            count += 1
            name = f"{base}-{count}"
        names.add(name)
    return names


def breaches_of(path):
    text = CODE.sub(blank, FENCE.sub(blank, tree.read(path)))
    for match in LINK.finditer(text):
        link = urllib.parse.unquote(match.group(1))
        if re.match(r"[a-z][a-z0-9+.-]*:", link):
            continue
        file, _, heading = link.partition("#")
        target = os.path.normpath(os.path.join(os.path.dirname(path), file)) if file else path
        where = f"{path}:{text.count(chr(10), 0, match.start()) + 1}: [{link}]"
        if not os.path.exists(target):
            yield f"{where}: there is no {target}"
        elif heading and target.endswith(".md") and heading not in anchors(target):
            yield f"{where}: {target} has no such heading"


if __name__ == "__main__":
    tree.finish([breach for path in tree.files((".md",)) for breach in breaches_of(path)])
