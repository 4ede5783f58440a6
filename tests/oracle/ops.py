"""Fourbit's operations in TOSA's terms.

4-bit activations are INT8 tensors whose CLAMP keeps them in range; 4-bit weights are INT4 where
TOSA has them (CONV2D) and the same values in INT8 elsewhere; a matrix product is a 1x1 CONV2D.
"""

from dataclasses import dataclass

import numpy as np

from tosa_graph import INT4, INT8, INT32

LIMITS = {"i8": (-128, 127), "u4": (0, 15), "s4": (-8, 7)}
# Exact factor from a step of a 4-bit tensor to a step of the 8-bit one that a pool makes of it.
WIDEN = {"u4": (17, -128), "s4": (18, 0)}


@dataclass
class Window:
    """Height and width of kernel and stride; padding top, bottom, left, right."""

    kernel: tuple
    stride: tuple
    pad: tuple

    def output(self, height, width):
        """Rows and columns; what the last stride leaves over is not read."""
        room = (height + sum(self.pad[:2]) - self.kernel[0], width + sum(self.pad[2:]) - self.kernel[1])
        return tuple(r // s + 1 for r, s in zip(room, self.stride))


@dataclass
class Linear:
    """Constants of a linear operation. Weights are (outputs, taps high, taps wide, inputs)."""

    bits: int
    weights: np.ndarray
    bias: np.ndarray
    multiplier: np.ndarray
    shift: np.ndarray
    low: int
    high: int


@dataclass
class Rescale:
    """A factor multiplier / 2^shift."""

    multiplier: int
    shift: int


def divide(graph, x, window):
    """TOSA wants strides that divide: trims padding that no window reads, then the input."""
    _, height, width, _ = graph.extents[x]
    pad, extents = list(window.pad), [height, width]
    for axis in (0, 1):
        excess = extents[axis] + pad[2 * axis] + pad[2 * axis + 1] - window.kernel[axis]
        excess %= window.stride[axis]
        trimmed = min(excess, pad[2 * axis + 1])
        pad[2 * axis + 1] -= trimmed
        extents[axis] -= excess - trimmed
    if extents != [height, width]:
        x = graph.crop(x, *extents)
    return x, pad


def conv2d(graph, x, op, window, x_zero, y_zero):
    x, pad = divide(graph, x, window)
    kind = INT4 if op.bits == 4 else INT8
    acc = graph.conv2d(x, op.weights, kind, op.bias, x_zero, pad, window.stride)
    return finish(graph, acc, op, y_zero)


def depthwise_conv2d(graph, x, op, window, x_zero, y_zero):
    x, pad = divide(graph, x, window)
    # (channels, high, wide, 1) -> (high, wide, channels, 1)
    weights = op.weights.transpose(1, 2, 0, 3)
    acc = graph.conv2d(x, weights, INT8, op.bias, x_zero, pad, window.stride, depthwise=True)
    return finish(graph, acc, op, y_zero)


def matmul(graph, x, op, x_zero, y_zero):
    """The columns are the last extent of `x`."""
    return conv2d(graph, x, op, Window((1, 1), (1, 1), (0, 0, 0, 0)), x_zero, y_zero)


def finish(graph, acc, op, y_zero):
    y = graph.rescale(acc, op.multiplier, op.shift, 0, y_zero, INT8)
    return graph.clamp(y, op.low, op.high)


def add(graph, a, b, zeros, rescales, low, high):
    """`zeros` and `rescales` of the first addend, the second, and the sum."""
    sides = [
        graph.rescale(x, [r.multiplier], [r.shift], zero, 0, INT32)
        for x, zero, r in zip((a, b), zeros, rescales)
    ]
    total = graph.add(*sides)
    y = graph.rescale(total, [rescales[2].multiplier], [rescales[2].shift], 0, zeros[2], INT8)
    return graph.clamp(y, low, high)


def pool(graph, x, kind, window, from_type, to_type, zero):
    """`kind` is avg_pool2d or max_pool2d; `zero` is that of input and output where the type stays."""
    if from_type != to_type:
        factor, zero = WIDEN[from_type]
        x = graph.rescale(x, [factor << 26], [26], 0, zero, INT8)
    x, pad = divide(graph, x, window)
    if kind == "max_pool2d":
        return graph.max_pool2d(x, window.kernel, window.stride, pad)
    return graph.avg_pool2d(x, zero, window.kernel, window.stride, pad)
