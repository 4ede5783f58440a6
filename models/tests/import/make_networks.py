"""Writes the small TFLite files that the importer is tested with, and what LiteRT computes.

    python3 -m pip install -r requirements.txt
    python3 make_networks.py

`tiny_float.tflite`: random weights, pixels 0 to 255 as float, every operation that is imported.
`tiny_int8.tflite`: the same network in int8 behind a QUANTIZE, with scales from its own activations.
`grey_int8.tflite`: one input channel with a multiplier, an average pool whose ties matter, a reshape.
`unsupported.tflite`: operations that are refused.
`*.expected`: 16 images of 8x8x3 or 8x8x1 bytes, then the logits of each, 5 float32 or int8.
"""

from pathlib import Path

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

import litert

HERE = Path(__file__).parent
BUILTIN = schema.BuiltinOperator
NONE, RELU, RELU6 = (
    schema.ActivationFunctionType.NONE,
    schema.ActivationFunctionType.RELU,
    schema.ActivationFunctionType.RELU6,
)
SAME, VALID = schema.Padding.SAME, schema.Padding.VALID
TYPES = {
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.int8): schema.TensorType.INT8,
    np.dtype(np.int32): schema.TensorType.INT32,
}


class Writer:
    """A model with one subgraph, a tensor and an operation at a time."""

    def __init__(self):
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.description = "made by make_networks.py"
        self.model.operatorCodes = []
        self.model.buffers = [schema.BufferT()]
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.model.subgraphs = [self.graph]

    def tensor(self, name, shape, kind, data=None, scale=None, zero_point=0, axis=0):
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = name, list(shape), TYPES[np.dtype(kind)]
        tensor.buffer = 0
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data, kind).tobytes(), np.uint8)
            tensor.buffer = len(self.model.buffers)
            self.model.buffers.append(buffer)
        if scale is not None:
            tensor.quantization = schema.QuantizationParametersT()
            scales = np.atleast_1d(np.asarray(scale, np.float32))
            tensor.quantization.scale = scales
            tensor.quantization.zeroPoint = np.full(len(scales), zero_point, np.int64)
            tensor.quantization.quantizedDimension = axis
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def operator(self, code, inputs, output, kind=None, **fields):
        if code not in [known.builtinCode for known in self.model.operatorCodes]:
            known = schema.OperatorCodeT()
            known.builtinCode, known.deprecatedBuiltinCode, known.version = code, min(code, 127), 1
            if code in (BUILTIN.CONV_2D, BUILTIN.DEPTHWISE_CONV_2D):
                known.version = 3
            self.model.operatorCodes.append(known)
        operator = schema.OperatorT()
        codes = [known.builtinCode for known in self.model.operatorCodes]
        operator.opcodeIndex, operator.inputs, operator.outputs = codes.index(code), inputs, [output]
        if kind is not None:
            operator.builtinOptions = getattr(schema, kind + "T")()
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            for name, value in fields.items():
                setattr(operator.builtinOptions, name, value)
        self.graph.operators.append(operator)
        return output

    def finish(self, inputs, outputs):
        self.graph.inputs, self.graph.outputs = [inputs], [outputs]
        builder = flatbuffers.Builder(0)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


# Name, shape, and for linear operations the filter's shape and where its output channel stands.
ACTIVATIONS = {
    "conv": (1, 4, 4, 6),
    "depthwise": (1, 4, 4, 6),
    "add": (1, 4, 4, 6),
    "max": (1, 2, 4, 6),
    "point": (1, 2, 4, 7),
    "mean": (1, 7),
    "dense": (1, 5),
}
FILTERS = {"conv": (6, 3, 3, 3), "depthwise": (1, 3, 3, 6), "point": (7, 1, 1, 6), "dense": (5, 7)}
AXIS = {"conv": 0, "depthwise": 3, "point": 0, "dense": 0}


def draw(seed):
    """Weights and biases for pixels of 0 to 255."""
    rng = np.random.default_rng(seed)
    constants = {}
    for name, shape in FILTERS.items():
        outputs = shape[AXIS[name]]
        size = np.prod(shape) / outputs
        weights = rng.normal(0, 1.5 / np.sqrt(size), shape)
        bias = rng.normal(0, 0.3, outputs)
        if name == "conv":
            weights /= 255
        if name == "point":
            # Large enough for RELU6 to matter.
            weights *= 8
        constants[name] = (weights.astype(np.float32), bias.astype(np.float32))
    return constants


def wire(writer, tensors, constants, image, last):
    """The operations from the image to the result, the same in float and int8."""

    def linear(code, name, source, options, activation, **fields):
        weights, bias = constants[name]
        fields |= {"fusedActivationFunction": activation}
        writer.operator(code, [source, weights, bias], tensors[name], options, **fields)

    window = {"dilationWFactor": 1, "dilationHFactor": 1}
    linear(BUILTIN.CONV_2D, "conv", image, "Conv2DOptions", RELU, padding=SAME, strideW=2, strideH=2, **window)
    linear(
        BUILTIN.DEPTHWISE_CONV_2D, "depthwise", tensors["conv"], "DepthwiseConv2DOptions", NONE,
        padding=SAME, strideW=1, strideH=1, depthMultiplier=1, **window,
    )
    writer.operator(
        BUILTIN.ADD, [tensors["conv"], tensors["depthwise"]], tensors["add"], "AddOptions",
        fusedActivationFunction=RELU,
    )
    writer.operator(
        BUILTIN.MAX_POOL_2D, [tensors["add"]], tensors["max"], "Pool2DOptions",
        padding=SAME, strideW=1, strideH=2, filterWidth=2, filterHeight=2, fusedActivationFunction=NONE,
    )
    linear(
        BUILTIN.CONV_2D, "point", tensors["max"], "Conv2DOptions", last, padding=VALID, strideW=1, strideH=1,
        **window,
    )
    writer.operator(BUILTIN.MEAN, [tensors["point"], tensors["axes"]], tensors["mean"], "ReducerOptions", keepDims=False)
    linear(BUILTIN.FULLY_CONNECTED, "dense", tensors["mean"], "FullyConnectedOptions", NONE)


def softmax(writer, source, output):
    writer.operator(BUILTIN.SOFTMAX, [source], output, "SoftmaxOptions", beta=1.0)


def float_network(constants):
    writer = Writer()
    image = writer.tensor("image", (1, 8, 8, 3), np.float32)
    tensors = {name: writer.tensor(name, shape, np.float32) for name, shape in ACTIVATIONS.items()}
    tensors["axes"] = writer.tensor("axes", (2,), np.int32, [1, 2])
    stored = {
        name: [writer.tensor(f"{name}/{what}", values.shape, np.float32, values)
               for what, values in zip(("weights", "bias"), pair)]
        for name, pair in constants.items()
    }
    wire(writer, tensors, stored, image, RELU)
    result = writer.tensor("result", (1, 5), np.float32)
    softmax(writer, tensors["dense"], result)
    return writer.finish(image, result), tensors


def int8_network(constants, ranges):
    """`ranges`: smallest and largest value of every activation."""
    writer = Writer()
    scales = {}

    def activation(name):
        low, high = min(ranges[name][0], 0.0), max(ranges[name][1], 0.0)
        scale = np.float32((high - low) / 255)
        scales[name] = scale
        zero_point = int(np.clip(round(-128 - low / scale), -128, 127))
        return writer.tensor(name, ACTIVATIONS[name], np.int8, scale=scale, zero_point=zero_point)

    real = writer.tensor("image", (1, 8, 8, 3), np.float32)
    image = writer.tensor("image_int8", (1, 8, 8, 3), np.int8, scale=1.0, zero_point=-128)
    scales["image"] = np.float32(1)
    ranges = ranges | {"max": ranges["add"]}
    tensors = {name: activation(name) for name in ACTIVATIONS}
    tensors["axes"] = writer.tensor("axes", (2,), np.int32, [-3, -2])
    sources = {"conv": "image", "depthwise": "conv", "point": "max", "dense": "mean"}
    stored = {}
    for name, (weights, bias) in constants.items():
        others = tuple(i for i in range(weights.ndim) if i != AXIS[name])
        scale = np.abs(weights).max(axis=others, keepdims=True) / 127
        integers = np.clip(np.round(weights / scale), -127, 127)
        scale = scale.reshape(-1).astype(np.float32)
        steps = (scale * scales[sources[name]]).astype(np.float32)
        stored[name] = [
            writer.tensor(f"{name}/weights", weights.shape, np.int8, integers, scale, 0, AXIS[name]),
            writer.tensor(f"{name}/bias", bias.shape, np.int32, np.round(bias / steps), steps),
        ]
    writer.operator(BUILTIN.QUANTIZE, [real], image, "QuantizeOptions")
    wire(writer, tensors, stored, image, RELU6)
    result = writer.tensor("result_int8", (1, 5), np.int8, scale=1 / 256, zero_point=-128)
    softmax(writer, tensors["dense"], result)
    probabilities = writer.tensor("result", (1, 5), np.float32)
    writer.operator(BUILTIN.DEQUANTIZE, [result], probabilities, "DequantizeOptions")
    return writer.finish(real, probabilities), tensors


def grey_network(seed):
    rng = np.random.default_rng(seed)
    writer = Writer()

    def constant(name, shape, axis, source):
        scale = rng.uniform(0.005, 0.01, shape[axis]).astype(np.float32)
        weights = writer.tensor(name, shape, np.int8, rng.integers(-127, 128, shape), scale, 0, axis)
        bias = rng.integers(-2000, 2000, shape[axis])
        return [weights, writer.tensor(name + "/bias", bias.shape, np.int32, bias, scale * np.float32(source))]

    image = writer.tensor("image", (1, 8, 8, 1), np.int8, scale=1 / 255, zero_point=-128)
    wide = writer.tensor("wide", (1, 6, 6, 4), np.int8, scale=0.008, zero_point=-128)
    pooled = writer.tensor("pooled", (1, 2, 2, 4), np.int8, scale=0.008, zero_point=-128)
    flat = writer.tensor("flat", (1, 16), np.int8, scale=0.008, zero_point=-128)
    shape = writer.tensor("shape", (2,), np.int32, [1, 16])
    logits = writer.tensor("logits", (1, 5), np.int8, scale=0.02, zero_point=7)
    writer.operator(
        BUILTIN.DEPTHWISE_CONV_2D, [image, *constant("wide/weights", (1, 3, 3, 4), 3, 1 / 255)], wide,
        "DepthwiseConv2DOptions", padding=VALID, strideW=1, strideH=1, depthMultiplier=4, dilationWFactor=1,
        dilationHFactor=1, fusedActivationFunction=RELU,
    )
    writer.operator(
        BUILTIN.AVERAGE_POOL_2D, [wide], pooled, "Pool2DOptions", padding=VALID, strideW=4, strideH=4,
        filterWidth=2, filterHeight=2, fusedActivationFunction=NONE,
    )
    writer.operator(BUILTIN.RESHAPE, [pooled, shape], flat)
    writer.operator(
        BUILTIN.FULLY_CONNECTED, [flat, *constant("dense/weights", (5, 16), 0, 0.008)], logits,
        "FullyConnectedOptions", fusedActivationFunction=NONE,
    )
    return writer.finish(image, logits), logits


def unsupported(constants):
    writer = Writer()
    image = writer.tensor("image", (1, 8, 8, 3), np.float32)
    names = ("conv", "swish", "sigmoid", "sum")
    conv, swish, sigmoid, total = [writer.tensor(name, (1, 8, 8, 6), np.float32) for name in names]
    weights, bias = [writer.tensor("constant", v.shape, np.float32, v) for v in constants["conv"]]
    writer.operator(
        BUILTIN.CONV_2D, [image, weights, bias], conv, "Conv2DOptions", padding=SAME, strideW=1, strideH=1,
        dilationWFactor=2, dilationHFactor=2, fusedActivationFunction=NONE,
    )
    writer.operator(BUILTIN.HARD_SWISH, [conv], swish, "HardSwishOptions")
    writer.operator(BUILTIN.LOGISTIC, [swish], sigmoid)
    writer.operator(BUILTIN.ADD, [sigmoid, conv], total, "AddOptions", fusedActivationFunction=RELU6)
    return writer.finish(image, total)


def main():
    constants = draw(7)
    pixels = np.random.default_rng(8).integers(0, 256, (16, 8, 8, 3), np.uint8)
    images = pixels.astype(np.float32)
    model, tensors = float_network(constants)
    ranges = {}
    for name in ACTIVATIONS:
        values = litert.logits(model, tensors[name], images)
        ranges[name] = (float(values.min()), float(values.max()))
    (HERE / "tiny_float.tflite").write_bytes(model)
    logits = litert.logits(model, tensors["dense"], images).astype("<f4")
    (HERE / "tiny_float.expected").write_bytes(pixels.tobytes() + logits.tobytes())
    model, tensors = int8_network(constants, ranges)
    (HERE / "tiny_int8.tflite").write_bytes(model)
    logits = litert.logits(model, tensors["dense"], images)
    assert logits.dtype == np.int8
    (HERE / "tiny_int8.expected").write_bytes(pixels.tobytes() + logits.tobytes())
    pixels = np.random.default_rng(9).integers(0, 256, (16, 8, 8, 1), np.uint8)
    model, tensor = grey_network(10)
    (HERE / "grey_int8.tflite").write_bytes(model)
    logits = litert.logits(model, tensor, (pixels.astype(np.int16) - 128).astype(np.int8))
    (HERE / "grey_int8.expected").write_bytes(pixels.tobytes() + logits.tobytes())
    (HERE / "unsupported.tflite").write_bytes(unsupported(constants))


if __name__ == "__main__":
    main()
