"""Compares an exported directory with its checkpoint. It shares no code with the program.

Usage: check_export.py CHECKPOINT_FILE EXPORT_DIRECTORY f32|bf16
It prints how many tensors were compared.
"""
import json
import os
import struct
import sys

import numpy


def tensors(path):
    with open(path, "rb") as file:
        content = file.read()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    assert header.pop("__metadata__")["format"] == "pt"
    data = content[8 + length :]
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        yield name, entry["dtype"], tuple(entry["shape"]), data[begin:end]


def exported(directory):
    index = os.path.join(directory, "model.safetensors.index.json")
    if not os.path.exists(index):
        return list(tensors(os.path.join(directory, "model.safetensors")))
    with open(index) as file:
        weight_map = json.load(file)["weight_map"]
    found = []
    for name in sorted(set(weight_map.values())):
        for tensor in tensors(os.path.join(directory, name)):
            assert weight_map[tensor[0]] == name
            found.append(tensor)
    return found


def bf16_bits(values):
    """Rounds to nearest, ties to even, on the bits. Half of the last place is added, and less if that is even."""
    bits = values.view(numpy.uint32).astype(numpy.uint64)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")


numpy_type = {"F32": "<f4", "F64": "<f8"}
source = {name: (dtype, shape, data) for name, dtype, shape, data in tensors(sys.argv[1])}
target = exported(sys.argv[2])
assert len(target) == len(source) == len({tensor[0] for tensor in target})
for name, dtype, shape, data in target:
    source_type, source_shape, source_data = source[name]
    assert shape == source_shape, name
    values = numpy.frombuffer(source_data, numpy_type[source_type]).astype("<f4")
    if sys.argv[3] == "f32":
        assert dtype == "F32" and data == values.tobytes(), name
    else:
        assert dtype == "BF16" and data == bf16_bits(values).tobytes(), name
print(len(target))
