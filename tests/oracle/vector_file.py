"""Writes vector files; `tests/src/oracle.rs` reads them and describes the format."""

import struct

import numpy as np

MAGIC = b"FBTOSA\x00\x01"
OPS = {
    "conv2d": 1,
    "depthwise_conv2d": 2,
    "matmul": 3,
    "add": 4,
    "avg_pool2d": 5,
    "max_pool2d": 6,
    "rescale": 7,
}
DTYPES = {"i8": 0, "u4": 1, "s4": 2}
OUTPUT_MAJOR, TAP_MAJOR = 0, 1


def file(op, records):
    """A header and the records."""
    return MAGIC + struct.pack("<II", OPS[op], len(records)) + b"".join(records)


def record(*, bits=0, layout=0, types, zeros, clamp, shape, out_shape, window=None, sections):
    """`types` and `zeros` of the first input, the second (or the first again) and the output."""
    kernel, stride, pad = (window.kernel, window.stride, window.pad) if window else ((1, 1), (1, 1), (0,) * 4)
    head = struct.pack("<4B", bits, *(DTYPES[t] for t in types))
    head += struct.pack("<3bB2b2x", *zeros, layout, *clamp)
    head += struct.pack("<6H", *shape, *out_shape)
    head += struct.pack("<8B", *kernel, *stride, *pad)
    body = b"".join(s + bytes(-len(s) % 4) for s in sections)
    return struct.pack("<I", 4 + len(head) + len(body)) + head + body


def activation(values, dtype):
    """(height, width, channels) as stored: a byte each, or packed channel rows."""
    return rows(values, 8 if dtype == "i8" else 4)


def filter_bytes(weights, bits, layout):
    """(outputs, high, wide, inputs) as stored."""
    outputs, high, wide, inputs = weights.shape
    taps = weights.reshape(outputs, high * wide, inputs)
    if layout == TAP_MAJOR:
        return rows(taps.transpose(1, 0, 2).reshape(high * wide, outputs * inputs), bits)
    return rows(taps.reshape(outputs, high * wide * inputs), bits)


def rows(values, bits):
    """Rows of the last axis, each starting at a byte; of two nibbles the low one comes first."""
    values = np.ascontiguousarray(values).astype(np.int8).reshape(-1, values.shape[-1])
    if bits == 8:
        return values.tobytes()
    if values.shape[1] % 2:
        values = np.pad(values, ((0, 0), (0, 1)))
    low, high = values[:, 0::2] & 0x0F, values[:, 1::2] & 0x0F
    return (low.astype(np.uint8) | (high.astype(np.uint8) << 4)).tobytes()


def words(values):
    return np.asarray(values).astype("<i4").tobytes()


def octets(values):
    return np.asarray(values).astype(np.uint8).tobytes()
