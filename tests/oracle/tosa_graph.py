"""A TOSA 1.0 graph under construction, and the reference model that runs it.

Takes numpy arrays, gives numpy arrays. Every run is a process of its own: a graph that breaks a
precondition of the standard aborts it, and that is an error here.
"""

import importlib.metadata
import subprocess
import tempfile
from pathlib import Path

import flatbuffers
import numpy as np
from tosa import (
    Attribute,
    AvgPool2dAttribute,
    ClampAttribute,
    Conv2dAttribute,
    DepthwiseConv2dAttribute,
    DType,
    MaxPool2dAttribute,
    NanPropagationMode,
    Op,
    RescaleAttribute,
    RoundingMode,
    TosaBasicBlock,
    TosaGraph,
    TosaOperator,
    TosaRegion,
    TosaShape,
    TosaTensor,
    Version,
)

INT4 = DType.DType.INT4
INT8 = DType.DType.INT8
INT32 = DType.DType.INT32
ATTRIBUTE = Attribute.Attribute
OP = Op.Op
NUMPY = {INT8: np.int8, INT32: np.int32}


class Graph:
    """Operations in execution order; tensors are named by strings that the methods return."""

    def __init__(self):
        self.builder = flatbuffers.Builder(1 << 16)
        self.tensors, self.shapes, self.operators = [], [], []
        self.extents = {}
        self.types = {}
        self.inputs = {}

    def input(self, values, dtype=INT8):
        """A tensor that the model reads from a file."""
        name = self._tensor(values.shape, dtype)
        self.inputs[name] = np.ascontiguousarray(values, NUMPY[dtype])
        return name

    def const(self, values, dtype):
        """A tensor that lies in the graph."""
        values = np.asarray(values)
        if dtype == INT4:
            nibbles = (values.reshape(-1).astype(np.int8) & 0x0F).astype(np.uint8)
            nibbles = np.append(nibbles, np.zeros(len(nibbles) % 2, np.uint8))
            data = (nibbles[0::2] | (nibbles[1::2] << 4)).tobytes()
        else:
            data = values.astype(NUMPY[dtype]).tobytes()
        name = self._tensor(values.shape, dtype, data)
        self._operator(OP.CONST, [], name, ATTRIBUTE.ConstAttribute, None)
        return name

    def _const_shape(self, values):
        name = f"shape{len(self.shapes)}"
        b = self.builder
        text, data = b.CreateString(name), self._bytes(np.asarray(values, "<i8").tobytes())
        TosaShape.Start(b)
        TosaShape.AddName(b, text)
        TosaShape.AddRank(b, len(values))
        TosaShape.AddData(b, data)
        self.shapes.append(TosaShape.End(b))
        self._operator(OP.CONST_SHAPE, [], name, ATTRIBUTE.ConstShapeAttribute, None)
        return name

    def conv2d(self, x, weights, weight_type, bias, x_zero, pad, stride, depthwise=False):
        """Weights are OHWI, or HWC1 for a depthwise convolution."""
        zeros = [self.const([x_zero], INT8), self.const([0], weight_type)]
        operands = [x, self.const(weights, weight_type), self.const(bias, INT32), *zeros]
        _, height, width, _ = self.extents[x]
        if depthwise:
            module, op, kind = DepthwiseConv2dAttribute, OP.DEPTHWISE_CONV2D, ATTRIBUTE.DepthwiseConv2dAttribute
            kernel, outputs = weights.shape[0:2], weights.shape[2] * weights.shape[3]
        else:
            module, op, kind = Conv2dAttribute, OP.CONV2D, ATTRIBUTE.Conv2dAttribute
            kernel, outputs = weights.shape[1:3], weights.shape[0]
        fields = [(module.AddPad, self._ints(pad)), (module.AddStride, self._ints(stride))]
        fields += [(module.AddDilation, self._ints([1, 1])), (module.AddAccType, INT32)]
        out = self._tensor([1, *window_output(height, width, kernel, stride, pad), outputs], INT32)
        return self._operator(op, operands, out, kind, (module, fields))

    def rescale(self, x, multiplier, shift, x_zero, y_zero, to):
        """SINGLE_ROUND with scale32; one multiplier for all, or one per channel."""
        module = RescaleAttribute
        source = self.types[x]
        operands = [x, self.const(multiplier, INT32), self.const(shift, INT8)]
        operands += [self.const([x_zero], source), self.const([y_zero], to)]
        fields = [
            (module.AddScale32, True),
            (module.AddRoundingMode, RoundingMode.RoundingMode.SINGLE_ROUND),
            (module.AddPerChannel, len(multiplier) > 1),
        ]
        out = self._tensor(self.extents[x], to)
        return self._operator(OP.RESCALE, operands, out, ATTRIBUTE.RescaleAttribute, (module, fields))

    def add(self, a, b):
        out = self._tensor(self.extents[a], self.types[a])
        return self._operator(OP.ADD, [a, b], out, ATTRIBUTE.AddAttribute, None)

    def clamp(self, x, low, high):
        """Bounds of an INT8 tensor."""
        module = ClampAttribute
        bounds = [self._bytes(np.int8(v).tobytes()) for v in (low, high)]
        fields = [(module.AddMinVal, bounds[0]), (module.AddMaxVal, bounds[1])]
        fields += [(module.AddNanMode, NanPropagationMode.NanPropagationMode.PROPAGATE)]
        out = self._tensor(self.extents[x], self.types[x])
        return self._operator(OP.CLAMP, [x], out, ATTRIBUTE.ClampAttribute, (module, fields))

    def max_pool2d(self, x, kernel, stride, pad):
        module = MaxPool2dAttribute
        nan = (module.AddNanMode, NanPropagationMode.NanPropagationMode.PROPAGATE)
        return self._pool(x, [x], kernel, stride, pad, OP.MAX_POOL2D, ATTRIBUTE.MaxPool2dAttribute, module, nan)

    def avg_pool2d(self, x, zero, kernel, stride, pad):
        """Input and output share a zero point."""
        module = AvgPool2dAttribute
        operands = [x, self.const([zero], INT8), self.const([zero], INT8)]
        acc = (module.AddAccType, INT32)
        return self._pool(x, operands, kernel, stride, pad, OP.AVG_POOL2D, ATTRIBUTE.AvgPool2dAttribute, module, acc)

    def _pool(self, x, operands, kernel, stride, pad, op, kind, module, extra):
        _, height, width, channels = self.extents[x]
        fields = [(module.AddKernel, self._ints(kernel)), (module.AddStride, self._ints(stride))]
        fields += [(module.AddPad, self._ints(pad)), extra]
        out = self._tensor([1, *window_output(height, width, kernel, stride, pad), channels], INT8)
        return self._operator(op, operands, out, kind, (module, fields))

    def crop(self, x, height, width):
        """The first rows and columns (SLICE)."""
        extents = self.extents[x]
        size = [extents[0], height, width, extents[3]]
        operands = [x, self._const_shape([0, 0, 0, 0]), self._const_shape(size)]
        out = self._tensor(size, self.types[x])
        return self._operator(OP.SLICE, operands, out, ATTRIBUTE.SliceAttribute, None)

    def reshape(self, x, extents):
        out = self._tensor(extents, self.types[x])
        operands = [x, self._const_shape(extents)]
        return self._operator(OP.RESHAPE, operands, out, ATTRIBUTE.ReshapeAttribute, None)

    def run(self, *outputs):
        """Values of tensors, in the order given."""
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            (folder / "graph.tosa").write_bytes(self._finish(outputs))
            for name, values in self.inputs.items():
                np.save(folder / f"{name}.npy", values)
            files = lambda names: ",".join(f"{name}.npy" for name in names)
            command = [str(model()), "--tosa_file=graph.tosa", f"--flatbuffer_dir={folder}", f"--output_dir={folder}"]
            command += [f"--ifm_name={','.join(self.inputs)}", f"--ifm_file={files(self.inputs)}"]
            command += [f"--ofm_name={','.join(outputs)}", f"--ofm_file={files(outputs)}", "--tosa_level=EIGHTK"]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode != 0:
                raise RuntimeError(f"the reference model refused the graph:\n{done.stdout}{done.stderr}")
            return [np.load(folder / f"{name}.npy") for name in outputs]

    def _tensor(self, extents, dtype, data=None):
        name = f"t{len(self.tensors)}"
        b = self.builder
        text, dims = b.CreateString(name), self._ints(extents)
        content = None if data is None else self._bytes(data)
        TosaTensor.Start(b)
        TosaTensor.AddName(b, text)
        TosaTensor.AddShape(b, dims)
        TosaTensor.AddType(b, dtype)
        if content is not None:
            TosaTensor.AddData(b, content)
        self.tensors.append(TosaTensor.End(b))
        self.extents[name], self.types[name] = [int(n) for n in extents], dtype
        return name

    def _operator(self, op, operands, out, kind, attribute):
        b = self.builder
        names = self._strings(operands, TosaOperator.StartInputsVector)
        result = self._strings([out], TosaOperator.StartOutputsVector)
        if attribute is None:
            # An attribute table without fields.
            b.StartObject(0)
            fields = b.EndObject()
        else:
            module, values = attribute
            module.Start(b)
            for setter, value in values:
                setter(b, value)
            fields = module.End(b)
        TosaOperator.Start(b)
        TosaOperator.AddOp(b, op)
        TosaOperator.AddAttributeType(b, kind)
        TosaOperator.AddAttribute(b, fields)
        TosaOperator.AddInputs(b, names)
        TosaOperator.AddOutputs(b, result)
        self.operators.append(TosaOperator.End(b))
        return out

    def _finish(self, outputs):
        b = self.builder
        name = b.CreateString("main")
        names = self._strings(self.inputs, TosaBasicBlock.StartInputsVector)
        results = self._strings(outputs, TosaBasicBlock.StartOutputsVector)
        tensors = self._offsets(self.tensors, TosaBasicBlock.StartTensorsVector)
        shapes = self._offsets(self.shapes, TosaBasicBlock.StartShapesVector)
        operators = self._offsets(self.operators, TosaBasicBlock.StartOperatorsVector)
        TosaBasicBlock.Start(b)
        TosaBasicBlock.AddName(b, name)
        TosaBasicBlock.AddInputs(b, names)
        TosaBasicBlock.AddOutputs(b, results)
        TosaBasicBlock.AddTensors(b, tensors)
        TosaBasicBlock.AddShapes(b, shapes)
        TosaBasicBlock.AddOperators(b, operators)
        blocks = self._offsets([TosaBasicBlock.End(b)], TosaRegion.StartBlocksVector)
        TosaRegion.Start(b)
        TosaRegion.AddName(b, name)
        TosaRegion.AddBlocks(b, blocks)
        regions = self._offsets([TosaRegion.End(b)], TosaGraph.StartRegionsVector)
        Version.Start(b)
        for setter, value in [(Version.Add_Major, 1), (Version.Add_Minor, 0), (Version.Add_Patch, 0)]:
            setter(b, value)
        Version.Add_Draft(b, False)
        version = Version.End(b)
        TosaGraph.Start(b)
        TosaGraph.AddVersion(b, version)
        TosaGraph.AddRegions(b, regions)
        b.Finish(TosaGraph.End(b), b"TOSA")
        return bytes(b.Output())

    def _ints(self, values):
        return self.builder.CreateNumpyVector(np.asarray(values, "<i4"))

    def _bytes(self, data):
        # The schema aligns data to 8 bytes.
        b = self.builder
        b.StartVector(1, len(data), 8)
        b.head -= len(data)
        b.Bytes[b.head : b.head + len(data)] = data
        return b.EndVector()

    def _strings(self, names, start):
        return self._offsets([self.builder.CreateString(name) for name in names], start)

    def _offsets(self, offsets, start):
        offsets = list(offsets)
        start(self.builder, len(offsets))
        for offset in reversed(offsets):
            self.builder.PrependUOffsetTRelative(offset)
        return self.builder.EndVector()


def window_output(height, width, kernel, stride, pad):
    """Rows and columns that a window gives; the strides must divide, as TOSA asks."""
    room = [height + pad[0] + pad[1] - kernel[0], width + pad[2] + pad[3] - kernel[1]]
    assert all(r >= 0 and r % s == 0 for r, s in zip(room, stride)), (room, stride)
    return [r // s + 1 for r, s in zip(room, stride)]


def model():
    """The program in the installed package."""
    return Path(importlib.metadata.distribution("tosa-tools").locate_file("bin/tosa_reference_model"))
