"""Writes the files in this directory with the gzip and zstd programs: python3 make_compressed.py

Each has lines.jsonl below, or the same as text. Names with "parts" are two compressed files, one after the other.
"""
import os
import subprocess

os.chdir(os.path.dirname(os.path.abspath(__file__)))
LINES = [b'{"text": "number %d \xe9\xaf\xa8 %s"}\n' % (i, b"ha" * (i * i % 23)) for i in range(40)]
WHOLE, FIRST, SECOND = b"".join(LINES), b"".join(LINES[:17])[:-9], b"".join(LINES)[len(b"".join(LINES[:17])) - 9:]


def run(command, data):
    return subprocess.run(command.split(), input=data, stdout=subprocess.PIPE, check=True).stdout


def write(name, data):
    with open(name, "wb") as file:
        file.write(data)


SKIPPED = bytes.fromhex("5d2a4d1803000000") + b"abc"  # a frame that readers of Zstandard skip
write("whole.jsonl.gz", run("gzip -n -9", WHOLE))
write("whole.jsonl.zst", run("zstd --check -19", WHOLE))
write("parts.jsonl.gz", run("gzip -n", FIRST) + run("gzip -n -1", SECOND))
write("parts.jsonl.zst", SKIPPED + run("zstd", FIRST) + run("zstd --no-check --long=27", SECOND) + SKIPPED)
write("padded.txt.gz", run("gzip -n", WHOLE) + bytes(512))
write("whole.txt.zst", run("zstd", WHOLE))
write("array.json.gz", run("gzip -n", b'[{"text": "a"}, {"text": "b"}]\n'))
write("lines.jsonl", WHOLE)
