#!/usr/bin/env python3
"""Checks that host code reaches a tensor's bytes through core/transfer.hpp alone. Kernels compute on pointers: the files
that define a kernel slot, and those under kernels/. A few other files may have pointers, and are named here."""
import os
import re

import tree

POINTER = re.compile(r"(?:\.|->)(?:template )?((?:data|span|item)<|raw\(\))")
SLOT = re.compile(r"\bKernelSlot<")
MAY_HAVE_POINTERS = {
    "core/kernel_slot.cpp": "it tells a device which memory a kernel was given",
    "core/tensor.hpp": "it hands them out",
    "core/transfer.cpp": "it is the border",
    "core/workspace.hpp": "it gives kernels their scratch",
    "distributed/communicators/communicator.cpp": "it compares addresses and hands buffers to carriers",
    "distributed/communicators/host_staging.cpp": "its tensors are on the host",
    "distributed/mpi/mpi_collectives.cpp": "it carries what is on the host",
    "moe/ops/valid_tokens.hpp": "kernels ask it which rows are padding",
}


def is_kernel(path, text):
    return path.endswith((".cu", ".cuh")) or "/kernels/" in path or (path.endswith(".cpp") and SLOT.search(text))


def breaches_of(path):
    text = tree.read(path)
    if path in MAY_HAVE_POINTERS or is_kernel(path, text):
        return
    for number, line in enumerate(text.splitlines(), start=1):
        for found in POINTER.finditer(line.split("//")[0]):
            yield (f"{path}:{number}: {found.group(1)}: only kernels have pointers to tensors; "
                   "use write or read_back (core/transfer.hpp)")


if __name__ == "__main__":
    library = [path for path in tree.files(tree.CODE) if not path.startswith("tests/")]
    gone = [f"scripts/house/border.py: names {path}, which is not there" for path in MAY_HAVE_POINTERS
            if os.path.isdir("scripts/house") and not os.path.isfile(path)]
    tree.finish(gone + [breach for path in library for breach in breaches_of(path)])
