"""Reads an artefact (`docs/artefact-format.md`) into plain values.

A second reader of the format, beside the runtime's.
"""

import struct
from dataclasses import dataclass
from zlib import crc32

import numpy as np

from ops import Linear, Rescale, Window

DTYPES = ["i8", "u4", "s4"]
KINDS = {
    1: "conv2d",
    2: "depthwise_conv2d",
    3: "matmul",
    4: "add",
    5: "avg_pool2d",
    6: "max_pool2d",
}
TENSORS, OPS, WEIGHTS, CHANNELS = 1, 2, 3, 4
TAP_MAJOR = 1


@dataclass
class Tensor:
    dtype: str
    zero: int
    shape: tuple


@dataclass
class Op:
    kind: str
    inputs: list
    output: int
    low: int
    high: int
    window: Window
    linear: Linear = None
    rescales: tuple = ()


class Artefact:
    def __init__(self, data):
        if data[:8] != b"FOURBIT\x1a":
            raise ValueError("not an artefact: the first bytes are not the magic")
        version, count, size = struct.unpack_from("<HHI", data, 8)
        if version != 3:
            raise ValueError(f"format version {version}; this reader knows 3")
        if size != len(data):
            raise ValueError(f"the file has {len(data)} bytes and its header says {size}")
        self.sections = {}
        end = 60 + 12 * count
        for i in range(count):
            kind, _, length, crc = struct.unpack_from("<HHII", data, 60 + 12 * i)
            start = -(-end // 16) * 16
            end = start + length
            content = data[start:end]
            if crc32(content) != crc:
                raise ValueError(f"section {kind} does not match its CRC")
            self.sections.setdefault(kind, content)
        self.tensors = [self._tensor(r) for r in _records(self.sections[TENSORS], 11)]
        self.ops = [self._op(i, r) for i, r in enumerate(_records(self.sections[OPS], 22))]
        self.input, self.output = 0, len(self.ops)

    @staticmethod
    def _tensor(record):
        storage, zero, _, height, width = struct.unpack("<IbHHH", record)
        return Tensor(DTYPES[storage & 15], zero, (height, width, storage >> 4))

    def _op(self, index, record):
        code, first, low, high = struct.unpack_from("<BHbb", record)
        kind = KINDS[code]
        op = Op(kind, [first], index + 1, low, high, Window(record[6:8], record[8:10], record[10:14]))
        if kind == "add":
            second, *constants = struct.unpack_from("<H3B3i", record, 5)
            op.inputs.append(second)
            shifts, multipliers = constants[:3], constants[3:]
            op.rescales = tuple(Rescale(m, s) for m, s in zip(multipliers, shifts))
        elif kind in ("conv2d", "depthwise_conv2d", "matmul"):
            weights, channels = struct.unpack_from("<II", record, 14)
            op.linear = self._linear(op, record[5] & 15, record[5] >> 4, weights, channels)
        return op

    def rowwise(self, op):
        """Whether a matrix product works at every position, instead of on the flattened input."""
        (height, width, _), (h, w, _) = self.tensors[op.inputs[0]].shape, self.tensors[op.output].shape
        return height * width == h * w

    def _linear(self, op, bits, layout, weights_at, channels_at):
        height, width, inputs = self.tensors[op.inputs[0]].shape
        outputs = self.tensors[op.output].shape[2]
        kernel = op.window.kernel
        if op.kind == "depthwise_conv2d":
            inputs = 1
        elif op.kind == "matmul":
            kernel = (1, 1)
            inputs = inputs if self.rowwise(op) else height * width * inputs
        taps = kernel[0] * kernel[1]
        rows, columns = (taps, outputs * inputs) if layout == TAP_MAJOR else (outputs, taps * inputs)
        stored = _rows(self.sections[WEIGHTS], weights_at, rows, columns, bits)
        if layout == TAP_MAJOR:
            stored = stored.reshape(taps, outputs, inputs).transpose(1, 0, 2)
        weights = stored.reshape(outputs, *kernel, inputs)
        words = np.frombuffer(self.sections[CHANNELS], "<i4", 2 * outputs, channels_at)
        shift = np.frombuffer(self.sections[CHANNELS], np.uint8, outputs, channels_at + 8 * outputs)
        return Linear(bits, weights, words[:outputs], words[outputs:], shift, op.low, op.high)


def _records(section, size):
    return [section[at : at + size] for at in range(0, len(section), size)]


def _rows(section, at, rows, columns, bits):
    """Rows that start at a byte; of two nibbles the low one comes first."""
    row_bytes = columns if bits == 8 else (columns + 1) // 2
    stored = np.frombuffer(section, np.uint8, rows * row_bytes, at).reshape(rows, row_bytes)
    if bits == 8:
        return stored.view(np.int8)
    nibbles = np.stack([stored & 0x0F, stored >> 4], -1).reshape(rows, -1)[:, :columns]
    return (nibbles.astype(np.int8) ^ 8) - 8
