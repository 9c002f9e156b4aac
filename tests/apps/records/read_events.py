"""Prints the scalars of a directory of event files as {tag: [[step, value], …]}. It reads in TensorBoard's order and
with its rule for restarts. It shares no code with the program's writer."""
import json
import pathlib
import struct
import sys


def crc32c(data):
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


def check(data, masked):
    crc = crc32c(data)
    assert ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF == struct.unpack("<I", masked)[0], "checksum"


def records(content):
    at = 0
    while at < len(content):
        length = content[at : at + 8]
        check(length, content[at + 8 : at + 12])
        size = struct.unpack("<Q", length)[0]
        payload = content[at + 12 : at + 12 + size]
        check(payload, content[at + 12 + size : at + 16 + size])
        at += 16 + size
        yield payload


def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return value, at


def fields(data):
    """(number, value) of each field of a message."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = varint(data, at)
        elif wire == 2:
            size, at = varint(data, at)
            value, at = data[at : at + size], at + size
        else:
            form = {1: "<d", 5: "<f"}[wire]
            value, at = struct.unpack_from(form, data, at)[0], at + struct.calcsize(form)
        yield number, value
    assert at == len(data)


WALL_TIME, STEP, FILE_VERSION, SUMMARY, SESSION_LOG = 1, 2, 3, 5, 7
START = [(1, 1)]
scalars = {}
for path in sorted(pathlib.Path(sys.argv[1]).glob("*tfevents*")):
    events = [dict(fields(payload)) for payload in records(path.read_bytes())]
    assert events[0][FILE_VERSION] == b"brain.Event:2" and STEP not in events[0]
    for event in events[1:]:
        assert event[WALL_TIME] > 1.6e9
        if SESSION_LOG in event:
            assert list(fields(event[SESSION_LOG])) == START
            for tag in scalars:
                scalars[tag] = [point for point in scalars[tag] if point[0] < event[STEP]]
        for _, value in fields(event.get(SUMMARY, b"")):
            value = dict(fields(value))
            scalars.setdefault(value[1].decode(), []).append([event[STEP], value[2]])
json.dump(scalars, sys.stdout)
