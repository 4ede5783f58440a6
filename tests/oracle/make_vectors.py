"""Makes `tests/golden/oracle/*.bin` with TOSA's reference model.

    python3 -m pip install -r tests/oracle/requirements.txt && python3 tests/oracle/make_vectors.py

Same bytes every time. `--check` compares with the committed files instead of writing.
"""

import argparse
import itertools
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

import ops
import values
import vector_file as vf
from ops import LIMITS, Window
from tosa_graph import INT32, Graph

FOLDER = Path(__file__).resolve().parent.parent / "golden" / "oracle"
TYPES = ["i8", "u4", "s4"]
LINEAR_CELLS = list(itertools.product((8, 4), TYPES, TYPES))
ADD_CELLS = list(itertools.product(TYPES, TYPES, TYPES))
POOL_CELLS = [("i8", "i8"), ("u4", "u4"), ("s4", "s4"), ("u4", "i8"), ("s4", "i8")]
# Global pools and strips, after the small windows.
LARGE_POOLS = [Window(k, k, (0,) * 4) for k in [(8, 8), (7, 7), (1, 16), (16, 16), (6, 10)]]
VECTORS = {"conv2d": 36, "depthwise_conv2d": 28, "matmul": 24, "add": 24, "avg_pool2d": 60, "max_pool2d": 56}


def linear(op, cell, index):
    """A record of a linear operation: `index` counts within a cell."""
    bits, from_type, to_type = LINEAR_CELLS[cell]
    count = index * len(LINEAR_CELLS) + cell
    rng = np.random.default_rng([vf.OPS[op], cell, index])
    style = values.LINEAR_STYLES[index % len(values.LINEAR_STYLES)]
    x_zero, y_zero = (values.zero_point(rng, t, index + shift) for t, shift in ((from_type, 0), (to_type, 2)))
    window, extents = values.window(rng, vf.OPS[op], count)
    if op == "matmul":
        window, extents = Window((1, 1), (1, 1), (0,) * 4), [1, [1, 2, 3, 5][index % 4]]
        inputs, outputs = [1, 9, 64, 31, 8, 3, 65, 100][count % 8], [10, 1, 5, 8, 17, 2, 3][count % 7]
    else:
        taps = window.kernel[0] * window.kernel[1]
        fit = [c for c in values.CHANNELS if c * extents[0] * extents[1] <= 350 and (c <= 3 or c * taps <= 150)]
        inputs = fit[count % len(fit)] if fit else 1
        fit = [c for c in values.CHANNELS if c * taps * inputs <= 700]
        outputs = fit[(count // 5) % len(fit)]
    if op == "depthwise_conv2d":
        outputs = inputs
    columns = 1 if op == "depthwise_conv2d" else inputs
    constants = values.linear(
        rng, style, bits, outputs, window.kernel, columns, from_type, to_type, x_zero, y_zero, index
    )
    x = values.activation(rng, style, (*extents, inputs), from_type, x_zero)
    graph = Graph()
    name = graph.input(x[None])
    if op == "matmul":
        y = ops.matmul(graph, name, constants, x_zero, y_zero)
    else:
        y = getattr(ops, op)(graph, name, constants, window, x_zero, y_zero)
    (y,) = graph.run(y)
    assert y.shape[1:3] == window.output(*extents)
    layout = vf.TAP_MAJOR if (index % 3 == 1) != (op == "depthwise_conv2d") else vf.OUTPUT_MAJOR
    return vf.record(
        bits=bits,
        layout=layout,
        types=(from_type, from_type, to_type),
        zeros=(x_zero, x_zero, y_zero),
        clamp=(constants.low, constants.high),
        shape=x.shape,
        out_shape=y.shape[1:],
        window=window,
        sections=[
            vf.activation(x, from_type),
            vf.filter_bytes(constants.weights, bits, layout),
            vf.words(constants.bias),
            vf.words(constants.multiplier),
            vf.octets(constants.shift),
            vf.activation(y, to_type),
        ],
    )


def add(op, cell, index):
    types = ADD_CELLS[cell]
    rng = np.random.default_rng([vf.OPS[op], cell, index])
    shape = (int(rng.integers(1, 4)), int(rng.integers(1, 4)), [1, 3, 4, 5, 8, 16, 17][(index + cell) % 7])
    zeros = [values.zero_point(rng, t, index + side) for side, t in enumerate(types)]
    rescales = values.add(rng, index, types, zeros)
    low, high = values.clamp(rng, types[2], zeros[2])
    style = ["typical", "extreme", "sparse"][index % 3]
    a, b = (values.activation(rng, style, shape, t, zero) for t, zero in zip(types[:2], zeros))
    graph = Graph()
    names = [graph.input(x[None]) for x in (a, b)]
    (y,) = graph.run(ops.add(graph, *names, zeros, rescales, low, high))
    return vf.record(
        types=types,
        zeros=zeros,
        clamp=(low, high),
        shape=shape,
        out_shape=shape,
        sections=[
            vf.activation(a, types[0]),
            vf.activation(b, types[1]),
            vf.words([r.multiplier for r in rescales]),
            vf.octets([r.shift for r in rescales]),
            vf.activation(y, types[2]),
        ],
    )


def pool(op, cell, index):
    from_type, to_type = POOL_CELLS[cell]
    rng = np.random.default_rng([vf.OPS[op], cell, index])
    small = VECTORS[op] - len(LARGE_POOLS)
    if index < small:
        window, extents = values.window(rng, vf.OPS[op], index * len(POOL_CELLS) + cell, padding_to_kernel=False)
        channels = [1, 3, 4, 5, 9][index % 5]
    else:
        window, channels = LARGE_POOLS[index - small], 1 + index % 3
        extents = window.kernel
    # Widening to 8 bits is exact from -7 on.
    low = -7 if (from_type, to_type) == ("s4", "i8") else None
    zero = values.zero_point(rng, from_type, index)
    style = ["typical", "extreme", "typical", "sparse"][index % 4]
    x = values.activation(rng, style, (*extents, channels), from_type, zero, low)
    graph = Graph()
    (y,) = graph.run(ops.pool(graph, graph.input(x[None]), op, window, from_type, to_type, zero))
    y_zero = zero if from_type == to_type else ops.WIDEN[from_type][1]
    return vf.record(
        types=(from_type, from_type, to_type),
        zeros=(zero, zero, y_zero),
        clamp=LIMITS[to_type],
        shape=x.shape,
        out_shape=y.shape[1:],
        window=window,
        sections=[vf.activation(x, from_type), vf.activation(y, to_type)],
    )


def rescale():
    """Accumulator, multiplier, shift, result: every shift, its ends, ties, random values."""
    rng = np.random.default_rng(vf.OPS["rescale"])
    multipliers, shifts, columns = [], [], []
    for shift in range(2, 63):
        end = min(2 ** (shift - 1), 2**31)
        # With this multiplier 2 and -2 are ties at every shift up to 31.
        tie = (1 << 30) + (1 << (shift - 2)) if shift <= 31 else 3 << 29
        for multiplier in (1 << 30, values.I32_MAX, tie, int(rng.integers(1 << 30, 1 << 31))):
            half = max(1, 1 << min(max(shift - 31, 0), 30))
            acc = [-end, end - 1, 0, 1, -1, 2, -2, half, -half, 3 * half, -3 * half]
            acc = [v if -end <= v < end else int(rng.integers(-end, end)) for v in acc]
            columns.append(acc + [int(v) for v in rng.integers(-end, end, 3)])
            multipliers.append(multiplier)
            shifts.append(shift)
    acc = np.array(columns).T
    graph = Graph()
    (y,) = graph.run(graph.rescale(graph.input(acc, INT32), multipliers, shifts, 0, 0, INT32))
    stack = np.stack([acc, np.broadcast_to(multipliers, acc.shape), np.broadcast_to(shifts, acc.shape), y], -1)
    return [vf.words(entry) for entry in stack.reshape(-1, 4)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the committed files")
    check = parser.parse_args().check
    rows = [
        ("conv2d", linear, len(LINEAR_CELLS)),
        ("depthwise_conv2d", linear, len(LINEAR_CELLS)),
        ("matmul", linear, len(LINEAR_CELLS)),
        ("add", add, len(ADD_CELLS)),
        ("avg_pool2d", pool, len(POOL_CELLS)),
        ("max_pool2d", pool, len(POOL_CELLS)),
    ]
    FOLDER.mkdir(parents=True, exist_ok=True)
    different = 0
    with ProcessPoolExecutor(2) as workers:
        jobs = {
            op: [workers.submit(make, op, cell, i) for cell in range(cells) for i in range(VECTORS[op])]
            for op, make, cells in rows
        }
        jobs["rescale"] = [workers.submit(rescale)]
        for op, futures in jobs.items():
            records = [future.result() for future in futures]
            records = records[0] if op == "rescale" else records
            content, path = vf.file(op, records), FOLDER / f"{op}.bin"
            if check:
                same = path.exists() and path.read_bytes() == content
                different += not same
                print(f"{path.name}: {'as committed' if same else 'DIFFERENT'}")
            else:
                path.write_bytes(content)
                print(f"{path.name}: {len(records)} vectors, {len(content)} bytes")
    sys.exit(min(different, 1))


if __name__ == "__main__":
    main()
