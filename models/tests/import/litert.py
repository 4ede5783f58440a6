"""LiteRT on a model: the tensor before the last SOFTMAX, which is what Fourbit calls the logits."""

import flatbuffers
import numpy as np
from ai_edge_litert import interpreter as litert
from ai_edge_litert import schema_py_generated as schema


def cut(model: bytes, tensor: int) -> bytes:
    """The model without the operations after the one that writes a tensor, which is its output."""
    parsed = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(model, 0))
    graph = parsed.subgraphs[0]
    writer = [tensor in operator.outputs for operator in graph.operators].index(True)
    graph.operators, graph.outputs = graph.operators[: writer + 1], [tensor]
    parsed.signatureDefs = parsed.metadata = None
    builder = flatbuffers.Builder(0)
    builder.Finish(parsed.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def logits(model: bytes, tensor: int, images: np.ndarray) -> np.ndarray:
    """The values of a tensor for each image, computed as LiteRT does by default, with XNNPACK.

    A delegate does not keep the tensors inside of it, so the model ends with the one asked for.
    """
    interpreter = litert.Interpreter(model_content=cut(model, tensor))
    interpreter.allocate_tensors()
    image = interpreter.get_input_details()[0]["index"]
    rows = []
    for values in images:
        interpreter.set_tensor(image, values[np.newaxis])
        interpreter.invoke()
        rows.append(interpreter.get_tensor(tensor).reshape(-1))
    return np.stack(rows)
