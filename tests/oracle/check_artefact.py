"""Runs a whole artefact in TOSA's reference model, as one graph.

    python3 tests/oracle/check_artefact.py NAME.fourbit IMAGE --logits LOGITS

IMAGE holds the network's int8 input (height, width, channels), LOGITS gets its int8 output.
With `--compare` the file is not written but compared, and the exit status is 1 where it differs.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

import ops
from artefact import Artefact
from tosa_graph import Graph


def build(artefact, image):
    """The graph, and its tensor of logits."""
    graph = Graph()
    shape = artefact.tensors[artefact.input].shape
    names = {artefact.input: graph.input(image.reshape(1, *shape))}
    for op in artefact.ops:
        x, y = artefact.tensors[op.inputs[0]], artefact.tensors[op.output]
        name = names[op.inputs[0]]
        if op.kind in ("conv2d", "depthwise_conv2d"):
            out = getattr(ops, op.kind)(graph, name, op.linear, op.window, x.zero, y.zero)
        elif op.kind == "matmul":
            if not artefact.rowwise(op):
                name = graph.reshape(name, [1, 1, 1, int(np.prod(x.shape))])
            out = ops.matmul(graph, name, op.linear, x.zero, y.zero)
        elif op.kind == "add":
            other = artefact.tensors[op.inputs[1]]
            zeros = (x.zero, other.zero, y.zero)
            out = ops.add(graph, name, names[op.inputs[1]], zeros, op.rescales, op.low, op.high)
        else:
            out = ops.pool(graph, name, op.kind, op.window, x.dtype, y.dtype, x.zero)
        if graph.extents[out][1:] != list(y.shape):
            out = graph.reshape(out, [1, *y.shape])
        names[op.output] = out
    return graph, names[artefact.output]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artefact", type=Path)
    parser.add_argument("image", type=Path)
    parser.add_argument("--logits", type=Path, required=True)
    parser.add_argument("--compare", action="store_true", help="compare with the file instead of writing it")
    args = parser.parse_args()
    artefact = Artefact(args.artefact.read_bytes())
    image = np.fromfile(args.image, np.int8)
    graph, output = build(artefact, image)
    (logits,) = graph.run(output)
    logits = logits.astype(np.int8).reshape(-1)
    if not args.compare:
        args.logits.write_bytes(logits.tobytes())
        print(f"{args.logits}: {len(logits)} logits, {len(np.unique(logits))} different values")
        return
    expected = np.fromfile(args.logits, np.int8)
    differ = len(expected) if len(expected) != len(logits) else int((expected != logits).sum())
    print(f"{len(logits)} logits, {differ} differ")
    sys.exit(min(differ, 1))


if __name__ == "__main__":
    main()
