"""Writes the token files in this directory with numpy, as Megatron, llm.c and nanoGPT do.

Usage: /usr/bin/python3 make_imports.py
There are 20 documents. Document d has 3 + 7 d mod 11 tokens, and document 9 has none. Token t of document d is
(31 d + 7 t) mod 90 + 5, and the last token is 1 (the end of documents). In files that begin documents with a token,
the first one is 2.
"""
import os

import numpy as np

os.chdir(os.path.dirname(os.path.abspath(__file__)))
TYPES = {"u8": (1, "u1"), "i8": (2, "i1"), "i16": (3, "<i2"), "i32": (4, "<i4"), "i64": (5, "<i8"), "u16": (8, "<u2")}
DOCUMENTS = [[] if d == 9 else [(31 * d + 7 * t) % 90 + 5 for t in range(3 + 7 * d % 11 - 1)] + [1] for d in range(20)]


def write_megatron(name, code, dtype, sequences, bounds):
    lengths = np.array([len(s) for s in sequences], "<i4")
    offsets = (np.cumsum(lengths, dtype="<i8") - lengths) * np.dtype(dtype).itemsize
    np.concatenate([np.array(s, dtype) for s in sequences]).tofile(f"{name}.bin")
    with open(f"{name}.idx", "wb") as f:
        f.write(b"MMIDIDX\x00\x00" + np.array([1], "<u8").tobytes() + np.array([code], "u1").tobytes())
        f.write(np.array([len(lengths), len(bounds)], "<u8").tobytes())
        f.write(lengths.tobytes() + offsets.astype("<i8").tobytes() + np.array(bounds, "<i8").tobytes())


for name, (code, dtype) in TYPES.items():
    write_megatron(f"megatron_{name}", code, dtype, DOCUMENTS, range(len(DOCUMENTS) + 1))
# Every document consists of sentences of at most two tokens, as for BERT.
sentences, bounds = [], [0]
for document in DOCUMENTS:
    sentences += [document[i:i + 2] for i in range(0, len(document), 2)]
    bounds.append(len(sentences))
write_megatron("megatron_sentences", 8, "<u2", sentences, bounds)


def write_llmc(name, magic, version, dtype, documents):
    ids = np.concatenate([np.array(d, dtype) for d in documents])
    header = np.zeros(256, "<i4")
    header[:3] = magic, version, len(ids)
    with open(f"{name}.bin", "wb") as f:
        f.write(header.tobytes() + ids.tobytes())


begun = [[2] + d[:-1] for d in DOCUMENTS if d]
write_llmc("llmc_gpt2", 20240520, 1, "<u2", begun)
write_llmc("llmc_llama3", 20240801, 7, "<u4", begun)
np.concatenate([np.array(d, "<u2") for d in DOCUMENTS]).tofile("nanogpt.bin")
