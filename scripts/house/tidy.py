#!/usr/bin/env python3
"""Runs clang-tidy on the sources that changed. Usage: tidy.py BUILD [--all]

A source has changed if it differs from where this branch left main. Without a branch, it is compared with the last
commit. Uncommitted work counts. A changed header is checked in a source that includes it. What passed is remembered
by content under build/house. A version of clang-tidy other than 14 checks nothing."""
import os
import re
import subprocess
import sys

import compiler
import tree

# These are compiled with a device language in front of them, which uses std::source_location. Version 14 lacks it.
OUTSIDE = "tests/cuda_emulation/"
DIAGNOSTIC = re.compile(r"^\S+:\d+:\d+: (warning|error): ", re.MULTILINE)


def git(*arguments):
    result = subprocess.run(["git", *arguments], text=True, check=False, capture_output=True)
    return result.stdout.strip() if result.returncode == 0 else None


def base():
    head = git("rev-parse", "HEAD")
    for branch in ("origin/main", "main"):
        left = git("merge-base", "HEAD", branch)
        if left and left != head:
            return left
    return git("rev-parse", "--verify", "--quiet", "HEAD~1")


def changed():
    """Paths, or None if there is nothing to compare with."""
    since = base()
    if since is None:
        return None
    return git("diff", "--name-only", since).splitlines() + git("ls-files", "--others", "--exclude-standard").splitlines()


def seen_through(header, sources):
    """The source in which clang-tidy sees a header: its own, or else one that includes it."""
    own = os.path.splitext(header)[0] + ".cpp"
    if own in sources:
        return {own}
    return set([path for path in sources if any(name == header for _, _, name in tree.includes(path))][:1])


def chosen(sources, everything):
    if everything:
        return sources
    paths = changed()
    if paths is None:
        print("clang-tidy: no earlier commit to compare with (a shallow clone?): skipped; --all takes every file",
              file=sys.stderr)
        return set()
    headers = [path for path in paths if path.endswith(".hpp")]
    return (sources & set(paths)).union(*(seen_through(path, sorted(sources)) for path in headers))


if __name__ == "__main__":
    if not tree.made_for("clang-tidy"):
        sys.exit(0)
    build = sys.argv[1]
    tracked = {path for path in tree.files((".cpp",)) if not path.startswith(OUTSIDE)}
    sources = sorted(chosen(tracked & set(compiler.commands(build)), "--all" in sys.argv[2:]))

    def tidy(path):
        # -w, because g++ gives the warnings, and those of clang differ
        result = subprocess.run(["clang-tidy", "--quiet", "-p", build, "--extra-arg=-w", path], text=True,
                                check=False, capture_output=True)
        if result.returncode == 0:
            return ""
        return result.stdout if DIAGNOSTIC.search(result.stdout) else f"{path}: {result.stdout}{result.stderr}"

    keys = {path: tree.digest(path, tree.read(".clang-tidy")) for path in sources}
    tree.finish(compiler.run_kept(tidy, keys))
