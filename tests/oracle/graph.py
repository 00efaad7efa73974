"""A few lines to build an ONNX graph by hand and run it with ONNX Runtime."""

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper


class Graph:
    """Nodes and constants by name; a method call adds a node and returns its output."""

    def __init__(self, opset=20):
        self.opset, self.nodes, self.constants, self.inputs = opset, [], {}, []

    def input(self, name, dtype, shape):
        """A graph input; a dim may be a string."""
        kind = {np.float32: TensorProto.FLOAT, np.int64: TensorProto.INT64}[dtype]
        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def constant(self, array, name=None):
        """An initializer of the array's dtype."""
        name = name or f"c{len(self.constants)}"
        self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def __getattr__(self, op):
        def add(*inputs, **attributes):
            names = [i if isinstance(i, str) else self.constant(np.asarray(i)) for i in inputs]
            out = f"v{len(self.nodes)}"
            self.nodes.append(helper.make_node(op, names, [out], **attributes))
            return out
        return add

    def session(self, *outputs):
        """An ONNX Runtime session with f32 outputs, on one CPU thread."""
        infos = [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in outputs]
        graph = helper.make_graph(self.nodes, "oracle", self.inputs, infos, list(self.constants.values()))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=10)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        return onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
