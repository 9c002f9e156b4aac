"""Reads and writes safetensors files with numpy and struct: u64 header length, JSON header, data."""
import json
import struct

import numpy

DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4"}


def to_bf16(values):
    """float32 to the bits of the nearest bfloat16, ties to even."""
    bits = numpy.ascontiguousarray(values, "<f4").view("<u4").astype(numpy.uint64)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")


def from_bf16(bits):
    return (bits.astype("<u4") << 16).view("<f4")


def read_safetensors(path):
    """name -> array, metadata. bfloat16 comes as float32."""
    content = open(path, "rb").read()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        if entry["dtype"] == "BF16":
            values = from_bf16(numpy.frombuffer(content[begin:end], "<u2"))
        else:
            values = numpy.frombuffer(content[begin:end], DTYPES[entry["dtype"]])
        tensors[name] = values.reshape(entry["shape"]).copy()
    return tensors, metadata


def write_safetensors(path, tensors, dtype, metadata=None):
    """Writes every array as `dtype` ("F64", "F32", "F16", "BF16"), or as dtype(name)."""
    header, data = ({"__metadata__": metadata} if metadata else {}), []
    position = 0
    for name, values in tensors.items():
        kind = dtype(name) if callable(dtype) else dtype
        raw = to_bf16(values).tobytes() if kind == "BF16" else numpy.asarray(values, DTYPES[kind]).tobytes()
        header[name] = {"dtype": kind, "shape": list(values.shape),
                        "data_offsets": [position, position + len(raw)]}
        position += len(raw)
        data.append(raw)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(data))
