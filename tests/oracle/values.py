"""Seeded shapes, values and constants that stay inside TOSA's preconditions.

Every list is cycled by a counter, so that coverage does not hang on luck; the generator only
chooses what within a class.
"""

import itertools

import numpy as np

from ops import LIMITS, Linear, Rescale, Window

I32_MAX = 2**31 - 1
LINEAR_STYLES = ["typical", "ties", "extreme", "shifts", "limit", "typical", "ties", "sparse"]
CHANNELS = [3, 1, 4, 7, 8, 5, 16, 2, 9, 17, 32, 33]


def axes(seed, padding_to_kernel):
    """Every (kernel, before, after, stride) of kernels 1..5, strides 1..3, paddings below the
    kernel, in a shuffled order; `padding_to_kernel` adds paddings of the kernel and more."""
    combos = [
        (kernel, before, after, stride)
        for kernel in range(1, 6)
        for before, after in itertools.product(range(kernel), repeat=2)
        for stride in (1, 2, 3)
    ]
    if padding_to_kernel:
        combos += [(1, 1, 1, 1), (1, 2, 0, 2), (2, 2, 3, 1), (3, 0, 4, 2), (3, 5, 3, 3)]
    np.random.default_rng(seed).shuffle(combos)
    return combos


def window(rng, op_seed, count, padding_to_kernel=True):
    """The window of vector `count`, and an input height and width that suit it."""
    pair = [axes([op_seed, axis], padding_to_kernel) for axis in (0, 1)]
    chosen = [combos[count % len(combos)] for combos in pair]
    extents = []
    for kernel, before, after, stride in chosen:
        out, left_over = int(rng.integers(1, 5)), int(rng.integers(0, stride))
        extent = (out - 1) * stride + kernel + left_over - before - after
        # At least one row must stay when what is left over has been cut off.
        while extent - max(0, left_over - after) < 1:
            extent += stride
        extents.append(extent)
    (kh, top, bottom, sh), (kw, left, right, sw) = chosen
    return Window((kh, kw), (sh, sw), (top, bottom, left, right)), extents


def zero_point(rng, dtype, count):
    """4-bit types have none; 8-bit ones cover the ends."""
    if dtype != "i8":
        return 0
    return [-128, 0, 127, int(rng.integers(-128, 128)), int(rng.integers(-20, 20))][count % 5]


def activation(rng, style, shape, dtype, zero, low=None):
    """Stored values of a tensor."""
    smallest, largest = LIMITS[dtype]
    smallest = smallest if low is None else low
    if style == "extreme":
        pick = [rng.choice([smallest, largest], shape), np.full(shape, smallest), np.full(shape, largest)]
        return pick[rng.choice(3, p=[0.6, 0.2, 0.2])]
    if style == "ties":
        return np.clip(zero + rng.integers(-3, 4, shape), smallest, largest)
    values = rng.integers(smallest, largest + 1, shape)
    if style == "sparse":
        values = np.where(rng.random(shape) < 0.7, np.clip(zero, smallest, largest), values)
    return values


def clamp(rng, dtype, zero):
    """Whole range, a ReLU, or a random range down to a single value."""
    low, high = LIMITS[dtype]
    kind = rng.choice(["whole", "relu", "range", "narrow"], p=[0.5, 0.25, 0.15, 0.1])
    if kind == "whole":
        return low, high
    if kind == "relu":
        return max(zero, low), high
    a, b = sorted(int(v) for v in rng.integers(low, high + 1, 2))
    return a, b if kind == "range" else min(high, a + int(rng.integers(0, 3)))


def linear(rng, style, bits, outputs, taps, inputs, from_type, to_type, x_zero, y_zero, count):
    """Weights and constants; accumulators fit i32 and every rescale admits them."""
    largest = 7 if bits == 4 else 127
    shape = (outputs, *taps, inputs)
    weights = rng.integers(-largest, largest + 1, shape)
    if style == "extreme":
        signs = rng.choice([-1, 1], (outputs, 1, 1, 1))
        mixed = rng.choice([-largest, largest], shape)
        weights = np.where(rng.random((outputs, 1, 1, 1)) < 0.5, np.broadcast_to(signs * largest, shape), mixed)
    elif style in ("ties", "sparse"):
        weights = np.where(rng.random(shape) < 0.5, 0, np.clip(weights, -2, 2))
    weights = weights.copy()
    low, high = clamp(rng, to_type, y_zero)
    middle = (LIMITS[to_type][0] + LIMITS[to_type][1]) // 2 - y_zero
    reach = max(abs(v - x_zero) for v in LIMITS[from_type])
    channel = {
        "shifts": lambda w, o: shifts(rng, w, reach, (count * 7 + o * 13) % 61 + 2),
        "limit": lambda w, o: limit(rng, w, reach),
        "ties": lambda w, o: ties(rng, w, reach, middle),
    }.get(style, lambda w, o: spread(rng, w, reach, middle, LIMITS[to_type]))
    bias, multiplier, shift = np.array([channel(w, o) for o, w in enumerate(weights)], np.int64).T
    return Linear(bits, weights, bias, multiplier, shift, low, high)


def spread(rng, weights, reach, middle, limits):
    """A scale that spreads most sums over the output's range; half of the time around its middle."""
    most = int(np.abs(weights).sum()) * reach
    typical = max(1.0, float(np.sqrt((weights.astype(float) ** 2).sum())) * reach)
    scale = (limits[1] - limits[0]) * rng.uniform(0.2, 1.6) / typical
    centre = int(middle / scale)
    bias = int(rng.choice([centre, 0])) + int(rng.integers(-int(typical) // 4, int(typical) // 4 + 1))
    bias = max(-(I32_MAX - most), min(bias, I32_MAX - most))
    return bias, *fixed_point(scale, most + abs(bias))


def ties(rng, weights, reach, middle):
    """Halves, quarters and so on of whole numbers."""
    most = int(np.abs(weights).sum()) * reach
    multiplier, shift = int(rng.choice([1 << 30, 3 << 29, 5 << 28])), int(rng.integers(31, 36))
    bias = int(middle * 2**shift / multiplier) + int(rng.integers(-8, 9))
    return bias, multiplier, max(shift, (most + abs(bias)).bit_length() + 1)


def limit(rng, weights, reach):
    """Sums next to the ends of i32."""
    most = int(np.abs(weights).sum()) * reach
    bias = int(rng.choice([-1, 1])) * (I32_MAX - most - int(rng.integers(0, 3)))
    return bias, any_multiplier(rng), int(rng.choice([32, 33, 53, 54, 55, 56, 62]))


def shifts(rng, weights, reach, shift):
    """A given shift; sums that it brings into 8 bits where there are such, else any it admits."""
    bound = min(2 ** (shift - 1) - 1, I32_MAX)
    if shift >= 24 and rng.random() < 0.8:
        bound = min(bound, int(2 ** (shift - 23) * rng.uniform(0.5, 2.0)))
    keep(rng, weights, bound // 2 // reach)
    room = bound - int(np.abs(weights).sum()) * reach
    return int(rng.integers(-room, room + 1)), any_multiplier(rng), shift


def keep(rng, weights, budget):
    """Sets weights to zero, in random order, where the sum of magnitudes would exceed a budget."""
    flat = weights.reshape(-1)
    for i in rng.permutation(len(flat)):
        budget -= abs(int(flat[i]))
        if budget < 0:
            budget += abs(int(flat[i]))
            flat[i] = 0


def any_multiplier(rng):
    return int(rng.choice([1 << 30, I32_MAX, 3 << 29, int(rng.integers(1 << 30, 1 << 31))]))


def fixed_point(scale, bound):
    """`multiplier / 2^shift` near `scale`, with a shift that admits accumulators up to `bound`."""
    mantissa, exponent = np.frexp(scale)
    multiplier, shift = int(mantissa * 2**31), 31 - int(exponent)
    return min(multiplier, I32_MAX), min(max(shift, bound.bit_length() + 1, 2), 62)


def add(rng, count, types, zeros):
    """Rescales of the two addends and of the sum."""
    reach = [max(abs(v - zero) for v in LIMITS[t]) for t, zero in zip(types, zeros)]
    style = ["left_shift_20", "ties", "any", "large", "left_shift_20"][count % 5]
    if style == "ties":
        # Halves and quarters of whole numbers, then half of the sum.
        sides = [Rescale(1 << 30, int(rng.integers(30, 32))) for _ in range(2)]
    elif style == "large":
        # The smallest shifts that the values admit and whose sum fits 32 bits.
        sides = [Rescale(int(rng.integers(1 << 30, 3 << 29)), r.bit_length() + 2) for r in reach[:2]]
    elif style == "any":
        sides = [Rescale(any_multiplier(rng), int(rng.integers(r.bit_length() + 2, 34))) for r in reach[:2]]
    else:
        left = int(rng.integers(20, 23))
        ratio = rng.uniform(0.1, 1.0, 2)
        sides = [Rescale(*fixed_point(float(q) * 2**left / 2, r)) for q, r in zip(ratio / ratio.max(), reach)]
    bound = sum(((r * side.multiplier) >> side.shift) + 1 for r, side in zip(reach, sides))
    assert bound <= I32_MAX
    span = LIMITS[types[2]][1] - LIMITS[types[2]][0]
    if style == "ties":
        shift = 31 + max(0, (bound // span).bit_length() - int(rng.integers(0, 3)))
        return *sides, Rescale(1 << 30, shift)
    return *sides, Rescale(*fixed_point(span * rng.uniform(0.3, 1.5) / bound, bound))
