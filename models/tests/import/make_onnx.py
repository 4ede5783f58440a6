"""Writes the ONNX files that the importer is tested with, and what ONNX Runtime computes.

    python3 -m pip install -r requirements-onnx.txt
    python3 make_onnx.py

`resnet.onnx`: a ResNet-18 of few channels as PyTorch exports it, weights and norms from a seed, batch open.
`resnet_folded.onnx`: the same network, its norms folded by the exporter.
`parts.onnx`: one of each other operation, the mean of the pixels subtracted.
`channels_last.onnx`: an NHWC image and layout changes, as converters from TensorFlow write them.
`unsupported.onnx`: operations that are refused.
`resnet_int8.onnx`, `resnet_uint8.onnx`: a smaller ResNet, quantized by ONNX Runtime as QDQ, activations int8 or uint8.
`*.expected`: images, HWC bytes, then the logits of each, float32; of the quantized ResNet int8, or uint8 less 128.
"""

import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from torch import nn

HERE = Path(__file__).parent
OPSET = 17


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut, projected where the shape changes."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU()
        self.shortcut = nn.Identity()
        if stride != 1 or inputs != outputs:
            project = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.shortcut = nn.Sequential(project, nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResNet(nn.Module):
    """The order of layers of ResNet-18: stem with a max pool, four stages of two blocks, one dense layer."""

    def __init__(self, widths, classes):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, widths[0], 7, 2, 3, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU(),
            nn.MaxPool2d(3, 2, 1),
        )
        blocks = []
        for stage, width in enumerate(widths):
            inputs = widths[max(stage - 1, 0)]
            blocks += [Block(inputs, width, 2 if stage else 1), Block(width, width, 1)]
        self.blocks = nn.Sequential(*blocks)
        self.pool = nn.AdaptiveAvgPool2d((1, 1))
        self.dense = nn.Linear(widths[-1], classes)

    def forward(self, x):
        return self.dense(torch.flatten(self.pool(self.blocks(self.stem(x))), 1))


def pictures(count, side, seed):
    """A colour of its own for each image, smooth shades and a little noise."""
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.uniform(0, 255, (count, 3, 1, 1)) + rng.normal(0, 60, (count, 3, 4, 4)))
    smooth = nn.functional.interpolate(coarse, size=(side, side), mode="bicubic", align_corners=True).numpy()
    noisy = smooth + rng.normal(0, 8, smooth.shape)
    return np.clip(np.round(noisy), 0, 255).astype(np.uint8).transpose(0, 2, 3, 1)


def run(model, images):
    """The logits of each image, float32."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    name, result = session.get_inputs()[0].name, session.get_outputs()[0].name
    return np.concatenate([session.run([result], {name: image[None]})[0] for image in images]).astype("<f4")


def write(name, pixels, logits):
    (HERE / f"{name}.expected").write_bytes(pixels.tobytes() + logits.tobytes())


def random_resnet(widths, side, seed):
    """A ResNet of ten classes whose norms and last layer fit `pictures`; it has learned nothing."""
    torch.manual_seed(seed)
    network = ResNet(widths, 10)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 1, 2)
            nn.init.normal_(module.bias, 0, 0.2)
    # Norms from images of the same kind.
    network.train()
    with torch.no_grad():
        for seed in range(30):
            images = pictures(32, side, 100 + seed).transpose(0, 3, 1, 2)
            network(torch.from_numpy(images.astype(np.float32) / 255))
    network.eval()
    # Logits that tell these images apart: those of features of mean 0 and variance 1.
    with torch.no_grad():
        images = pictures(64, side, 99).transpose(0, 3, 1, 2)
        features = network.pool(network.blocks(network.stem(torch.from_numpy(images.astype(np.float32) / 255))))
        deviation, mean = torch.std_mean(torch.flatten(features, 1), 0)
        nn.init.normal_(network.dense.weight, 0, 0.5).div_(deviation + 0.05)
        network.dense.bias.copy_(-network.dense.weight @ mean)
    return network


def resnet():
    network = random_resnet([8, 12, 16, 20], 48, 18)
    image = torch.zeros(1, 3, 48, 48)
    mode = torch.onnx.TrainingMode
    for name, training in (("resnet", mode.PRESERVE), ("resnet_folded", mode.EVAL)):
        torch.onnx.export(
            network, (image,), str(HERE / f"{name}.onnx"), dynamo=False, opset_version=OPSET, training=training,
            input_names=["image"], output_names=["logits"], dynamic_axes={"image": {0: "N"}, "logits": {0: "N"}},
        )
    pixels = pictures(8, 48, 7)
    logits = run(str(HERE / "resnet.onnx"), pixels.transpose(0, 3, 1, 2).astype(np.float32) / 255)
    write("resnet_onnx", pixels, logits)


class Pictures(CalibrationDataReader):
    """Black, white and pictures: then the image's range is 0 to 1, and a step is a pixel's."""

    def __init__(self, side):
        ends = [np.full((1, side, side, 3), value, np.uint8) for value in (0, 255)]
        self.images = iter(np.concatenate([*ends, pictures(64, side, 98)]))

    def get_next(self):
        image = next(self.images, None)
        return None if image is None else {"image": real(image[None])}


def real(pixels):
    return pixels.transpose(0, 3, 1, 2).astype(np.float32) / 255


def quantized():
    """Pixels 0 to 1. The optimizer of ONNX Runtime makes integer kernels of the file: those give the logits."""
    side = 32
    network = random_resnet([8, 12], side, 4)
    pixels = pictures(16, side, 7)
    logits = []
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/float.onnx"
        torch.onnx.export(
            network, (torch.zeros(1, 3, side, side),), path, dynamo=False, opset_version=OPSET,
            input_names=["image"], output_names=["logits"],
        )
        for name, kind in (("resnet_int8", QuantType.QInt8), ("resnet_uint8", QuantType.QUInt8)):
            file = str(HERE / f"{name}.onnx")
            quantize_static(
                path, file, Pictures(side), quant_format=QuantFormat.QDQ, per_channel=True,
                activation_type=kind, weight_type=QuantType.QInt8,
            )
            constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(file).graph.initializer}
            steps = np.round(run(file, real(pixels)) / constants["logits_scale"])
            integers = steps + constants["logits_zero_point"] - (128 if kind == QuantType.QUInt8 else 0)
            logits.append(integers.astype(np.int8))
    assert np.array_equal(*logits)
    write("resnet_quantized_onnx", pixels, logits[0])


class Writer:
    """A network, an operation at a time."""

    def __init__(self, shape, seed):
        self.rng = np.random.default_rng(seed)
        self.image = helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)
        self.nodes, self.constants = [], []

    def constant(self, values, kind=np.float32):
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, kind), name))
        return name

    def normal(self, *shape, size=1.0):
        return self.constant(self.rng.normal(0, size, shape))

    def node(self, kind, *inputs, **attributes):
        name = f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def model(self, output):
        result = helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", 5])
        graph = helper.make_graph(self.nodes, "network", [self.image], [result], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
        return model.SerializeToString()


def parts():
    """Pixels 0 to 255. Ends in a softmax; the logits are what it reads."""
    w = Writer(["N", 3, 9, 8], 11)
    x = w.node("Sub", "image", w.constant(np.reshape([120.0, 115.0, 100.0], (1, 3, 1, 1))))
    x = w.node("Div", x, w.constant(np.reshape([60.0, 57.0, 55.0], (3, 1, 1))))
    x = w.node("Conv", x, w.normal(6, 3, 3, 2, size=0.3), w.normal(6), strides=[1, 2])
    x = w.node("Mul", x, w.constant(np.reshape(w.rng.uniform(0.5, 1.5, 6), (1, 6, 1, 1))))
    first = w.node("Clip", x, w.constant(0.0))
    x = w.node(
        "Conv", first, w.normal(6, 1, 3, 3, size=0.4), group=6, kernel_shape=[3, 3], auto_pad="SAME_UPPER"
    )
    norm = [w.rng.uniform(0.5, 1.5, 6), w.rng.normal(0, 0.3, 6), w.rng.normal(0, 0.3, 6), w.rng.uniform(0.5, 2, 6)]
    x = w.node("BatchNormalization", x, *map(w.constant, norm), epsilon=1e-3)
    x = w.node("Relu", w.node("Add", x, w.node("Identity", first)))
    x = w.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 1], ceil_mode=1)
    x = w.node("AveragePool", x, kernel_shape=[3, 2], pads=[1, 0, 1, 1])
    shape = w.node("Shape", x)
    batch = w.node("Gather", shape, w.constant(0, np.int64), axis=0)
    batch = w.node("Unsqueeze", batch, w.constant([0], np.int64))
    target = w.node("Concat", batch, w.constant([-1], np.int64), axis=0)
    x = w.node("Dropout", w.node("Reshape", x, target))
    x = w.node("MatMul", x, w.normal(72, 7, size=0.2))
    x = w.node("Relu", w.node("Add", w.normal(7), x))
    logits = w.node("Gemm", x, w.normal(7, 5), w.normal(5), alpha=0.5, beta=2.0)
    softmax = w.node("Softmax", logits, axis=1)
    (HERE / "parts.onnx").write_bytes(w.model(softmax))
    pixels = w.rng.integers(0, 256, (16, 9, 8, 3), np.uint8)
    write("parts_onnx", pixels, run(w.model(logits), pixels.transpose(0, 3, 1, 2).astype(np.float32)))


def channels_last():
    """Pixels 0 to 255."""
    w = Writer([1, 8, 8, 3], 12)
    x = w.node("Mul", "image", w.constant([1 / 60, 1 / 57, 1 / 55]))
    x = w.node("Transpose", x, perm=[0, 3, 1, 2])
    x = w.node("Conv", x, w.normal(4, 3, 3, 3, size=0.3), w.normal(4), strides=[2, 2], pads=[0, 0, 1, 1])
    x = w.node("Relu", x)
    back = w.node("Transpose", x, perm=[0, 2, 3, 1])
    flat = w.node("Reshape", back, w.constant([-1, 64], np.int64))
    x = w.node("Gemm", flat, w.normal(5, 64, size=0.2), w.normal(5), transB=1)
    logits = w.node("Identity", x)
    (HERE / "channels_last.onnx").write_bytes(w.model(logits))
    pixels = w.rng.integers(0, 256, (16, 8, 8, 3), np.uint8)
    write("channels_last_onnx", pixels, run(w.model(logits), pixels.astype(np.float32)))


def unsupported():
    w = Writer([1, 3, 8, 8], 13)
    x = w.node("Conv", "image", w.normal(4, 3, 3, 3), dilations=[2, 2])
    y = w.node("HardSwish", x)
    z = w.node("Conv", x, w.normal(4, 2, 1, 1), group=2)
    x = w.node("Sigmoid", w.node("Add", y, z))
    x = w.node("Relu", w.node("GlobalAveragePool", x))
    x = w.node("Gemm", w.node("Flatten", x), w.normal(4, 5), w.normal(5))
    (HERE / "unsupported.onnx").write_bytes(w.model(x))


if __name__ == "__main__":
    resnet()
    quantized()
    parts()
    channels_last()
    unsupported()
    for path in HERE.glob("*.onnx"):
        onnx.checker.check_model(onnx.load(path))
