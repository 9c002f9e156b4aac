"""Writes the shards in this directory with h5py, as other software would: /usr/bin/python3 make_shards.py

In good ones, token i is 7 i mod 50 for i < 100. Bad ones are named after what is wrong with them.
"""
import os

import h5py
import numpy as np

os.chdir(os.path.dirname(os.path.abspath(__file__)))
TOKENS = np.arange(100) * 7 % 50


def good(name, dtype, attributes=None, extra=None, file_options=None, **options):
    with h5py.File(f"{name}.h5", "w", **(file_options or {})) as f:
        f.create_dataset("data", data=TOKENS.astype(dtype), **options)
        for key, value in (extra or {}).items():
            f.create_dataset(key, data=value)
        for key, value in (attributes or {}).items():
            f.attrs[key] = value


good("u8", "u1")
good("u16", "<u2")
good("u32", "<u4")
good("i16", "<i2")
good("i32", "<i4")
good("i64", "<i8")
good("big_endian", ">u2")
good("gzip", "<u2", chunks=(32,), compression="gzip", shuffle=True, fletcher32=True)
good("resizable", "<i4", chunks=(16,), maxshape=(None,))
good("latest", "<u2", file_options={"libver": "latest"})
good("user_block", "<u2", file_options={"userblock_size": 512})
good("unaligned", "<u4", file_options={"userblock_size": 512}, extra={"other": np.arange(3, dtype="u1")})
good("described", "<u2", attributes={
    "format": "granule-shard/1", "n_tokens": 100, "n_docs": 2, "vocab_size": np.uint32(50), "bos_id": 1, "eos_id": 2,
    "tokenizer_sha256": "ab" * 32, "created_by": np.bytes_("someone else")},
    extra={"doc_offsets": np.array([0, 40, 100], "<u8"), "doc_bytes": np.array([120, 300], "<u4")})

with h5py.File("compact.h5", "w") as f:
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_layout(h5py.h5d.COMPACT)
    space = h5py.h5s.create_simple((100,))
    h5py.Dataset(h5py.h5d.create(f.id, b"data", h5py.h5t.STD_U16LE, space, plist))[:] = TOKENS

good("bad_offsets", "<u2", extra={"doc_offsets": np.array([0, 70, 40, 100], "<u8")})
good("bad_offsets_end", "<u2", extra={"doc_offsets": np.array([0, 99], "<u8")})
good("bad_doc_bytes", "<u2", extra={"doc_offsets": np.array([0, 100], "<u8"), "doc_bytes": np.array([1, 2], "<u4")})
good("bad_n_tokens", "<u2", attributes={"n_tokens": 101})
good("bad_n_docs", "<u2", attributes={"n_docs": 2}, extra={"doc_offsets": np.array([0, 100], "<u8")})
good("bad_version", "<u2", attributes={"format": "granule-shard/2"})
good("bad_attribute", "<u2", attributes={"vocab_size": "fifty"})
for name, first in ("bad_checksum", 0), ("bad_late_checksum", 32):
    good(name, "<u2", chunks=(32,), fletcher32=True)
    with open(f"{name}.h5", "r+b") as f:
        raw = bytearray(f.read())
        at = raw.find(TOKENS[first:first + 32].astype("<u2").tobytes())
        raw[at] ^= 1
        f.seek(0)
        f.write(raw)
with h5py.File("bad_rank.h5", "w") as f:
    f["data"] = TOKENS.astype("<u2").reshape(10, 10)
with h5py.File("bad_float.h5", "w") as f:
    f["data"] = TOKENS.astype("<f4")
with h5py.File("bad_name.h5", "w") as f:
    f["tokens"] = TOKENS.astype("<u2")
with h5py.File("bad_group.h5", "w") as f:
    f.create_group("data")
with h5py.File("bad_negative.h5", "w") as f:
    f["data"] = np.where(TOKENS == 21, -1, TOKENS).astype("<i4")
with h5py.File("bad_empty.h5", "w") as f:
    f.create_dataset("data", (0,), "<u2")
with open("u16.h5", "rb") as whole, open("bad_truncated.h5", "wb") as cut:
    cut.write(whole.read()[:-50])
