"""Time of one image on one thread: Fourbit's simulator beside LiteRT on the same machine.

    python3 -m venv VENV && VENV/bin/pip install -r tests/litert/requirements.txt
    VENV/bin/python tests/litert/pair.py --litert resnet8_int8.tflite --model resnet8-cifar10-w4a8

Takes a TFLite file, run by LiteRT with its XNNPACK kernels, and an artefact, run by `cargo xtask bench
--board sim`. The two take turns, so that both see the same load; each turn gives a median of 200 runs,
and the turns' median is printed. Build first: `cargo build --workspace --features fourbit-models/train`.
"""

import argparse
import json
import statistics
import subprocess
import time

import numpy as np
from ai_edge_litert.interpreter import Interpreter

RUNS = 200


def litert_ms(interpreter):
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        interpreter.invoke()
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


def fourbit_ms(xtask, model):
    command = [xtask, "--json", "bench", "--model", model, "--board", "sim"]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["milliseconds"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--litert", required=True, help="a TFLite file")
    parser.add_argument("--model", required=True, help="an artefact, or a name in models/artefacts")
    parser.add_argument("--xtask", default="target/debug/xtask", help="the built command line")
    parser.add_argument("--turns", type=int, default=9)
    args = parser.parse_args()

    interpreter = Interpreter(args.litert, num_threads=1)
    interpreter.allocate_tensors()
    entry = interpreter.get_input_details()[0]
    noise = np.random.default_rng(1).integers(-128, 128, entry["shape"])
    interpreter.set_tensor(entry["index"], noise.astype(entry["dtype"]))
    litert_ms(interpreter)
    pairs = [(litert_ms(interpreter), fourbit_ms(args.xtask, args.model)) for _ in range(args.turns)]
    for theirs, ours in pairs:
        print(f"LiteRT {theirs:.3f} ms, Fourbit {ours:.3f} ms, {ours / theirs:.2f} times")
    theirs, ours = (statistics.median(column) for column in zip(*pairs))
    ratio = statistics.median(ours / theirs for theirs, ours in pairs)
    print(f"median: LiteRT {theirs:.3f} ms, Fourbit {ours:.3f} ms, {ratio:.2f} times")


if __name__ == "__main__":
    main()
