"""LiteRT's int8 logits of MLPerf Tiny's ResNet-8 on 100 test images of CIFAR-10 (JPEG).

    FOURBIT_DATA=PATH cargo run --package fourbit-models --example export_images pixels.bin
    python3 -m pip install -r requirements.txt
    python3 mlperf_logits.py resnet8_int8.tflite pixels.bin

JPEG decoders differ by a few levels, so the pixels come from Fourbit's own: every 100th test image in
the order of their paths. Writes `mlperf_resnet8_int8.logits`, 100 times 10 int8: the output of
FULLY_CONNECTED, tensor 36, before SOFTMAX.
"""

import sys
from pathlib import Path

import numpy as np

import litert


def main():
    model, pixels = (Path(path).read_bytes() for path in sys.argv[1:])
    images = np.frombuffer(pixels, np.uint8).reshape(100, 32, 32, 3)
    logits = litert.logits(model, 36, (images.astype(np.int16) - 128).astype(np.int8))
    assert logits.shape == (100, 10) and logits.dtype == np.int8
    (Path(__file__).parent / "mlperf_resnet8_int8.logits").write_bytes(logits.tobytes())


if __name__ == "__main__":
    main()
