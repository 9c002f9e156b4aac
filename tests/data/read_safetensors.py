"""Prints a safetensors file. It shares no code with the program's reader."""
import json
import struct
import sys

content = open(sys.argv[1], "rb").read()
(length,) = struct.unpack("<Q", content[:8])
assert length % 8 == 0 and content[8:9] == b"{"
header = json.loads(content[8 : 8 + length].decode())
data = content[8 + length :]
position = 0
sys.stdout.reconfigure(encoding="utf-8")
for name, entry in header.items():
    if name == "__metadata__":
        print(name, entry)
        continue
    begin, end = entry["data_offsets"]
    assert begin == position
    position = end
    print(name, entry["dtype"], entry["shape"], data[begin:end].hex())
assert position == len(data)
