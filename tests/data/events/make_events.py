"""Writes golden.tfevents from a few events, with protobuf's own serializer and crcmod's CRC-32C.

Run it by hand, with Debian's python3-protobuf and python3-crcmod. The messages are those of TensorFlow's event.proto
and summary.proto that scalars need.
"""
import struct
import sys

import crcmod.predefined
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

Field = descriptor_pb2.FieldDescriptorProto


def add_message(file, name, *fields):
    message = file.message_type.add(name=name)
    for field, number, kind, options in fields:
        message.field.add(name=field, number=number, type=kind, label=Field.LABEL_OPTIONAL, **options)
    return message


def messages():
    file = descriptor_pb2.FileDescriptorProto(name="event.proto", package="tensorboard", syntax="proto3")
    event = add_message(
        file, "Event",
        ("wall_time", 1, Field.TYPE_DOUBLE, {}), ("step", 2, Field.TYPE_INT64, {}),
        ("file_version", 3, Field.TYPE_STRING, {"oneof_index": 0}),
        ("summary", 5, Field.TYPE_MESSAGE, {"oneof_index": 0, "type_name": ".tensorboard.Summary"}),
        ("session_log", 7, Field.TYPE_MESSAGE, {"oneof_index": 0, "type_name": ".tensorboard.SessionLog"}))
    event.oneof_decl.add(name="what")
    log = add_message(file, "SessionLog", ("status", 1, Field.TYPE_ENUM,
                                           {"type_name": ".tensorboard.SessionLog.SessionStatus"}))
    status = log.enum_type.add(name="SessionStatus")
    for number, name in enumerate(["STATUS_UNSPECIFIED", "START", "STOP", "CHECKPOINT"]):
        status.value.add(name=name, number=number)
    value = add_message(file, "Value", ("tag", 1, Field.TYPE_STRING, {}),
                        ("simple_value", 2, Field.TYPE_FLOAT, {"oneof_index": 0}))
    value.oneof_decl.add(name="value")
    summary = add_message(file, "Summary", ("value", 1, Field.TYPE_MESSAGE, {"type_name": ".tensorboard.Value"}))
    summary.field[0].label = Field.LABEL_REPEATED
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    factory = message_factory.MessageFactory(pool)
    return factory.GetPrototype(pool.FindMessageTypeByName("tensorboard.Event"))


def record(payload):
    crc32c = crcmod.predefined.mkCrcFun("crc-32c")

    def masked(data):
        crc = crc32c(data)
        return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)

    length = struct.pack("<Q", len(payload))
    return length + masked(length) + payload + masked(payload)


Event = messages()
first = Event(wall_time=1.7e9, file_version="brain.Event:2")
start = Event(wall_time=1700000000.25, step=300)
start.session_log.status = 1
small = Event(wall_time=1700000001.5, step=300)
small.summary.value.add(tag="ce", simple_value=0.1)
small.summary.value.add(tag="zero", simple_value=0.0)
large = Event(wall_time=1700000002.125, step=2**40 + 3)
for layer in range(40):
    large.summary.value.add(tag=f"load_cv/layer_{layer}", simple_value=-1.5e30 * layer)
with open(sys.argv[1], "wb") as file:
    for event in (first, start, small, large):
        file.write(record(event.SerializeToString(deterministic=True)))
