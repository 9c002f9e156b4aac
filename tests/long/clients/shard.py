"""Prints what h5py finds in a shard.  Usage: shard.py FILE"""
import json
import sys

import h5py

with h5py.File(sys.argv[1], "r") as shard:
    attributes = {name: value if isinstance(value, str) else int(value) for name, value in shard.attrs.items()}
    print(json.dumps({"data": shard["data"][:].tolist(), "doc_offsets": shard["doc_offsets"][:].tolist(),
                      "doc_bytes": shard["doc_bytes"][:].tolist(), "attributes": attributes}))
