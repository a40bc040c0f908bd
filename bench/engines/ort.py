"""ONNX Runtime."""

from __future__ import annotations

import numpy as np

from . import onnx_model
from .base import Engine, array_of


class OnnxRuntime(Engine):
    """The LSTM operator on the CPU provider."""

    packages = ("onnxruntime", "onnx")
    works = ("forward", "step")

    def version(self):
        import onnxruntime

        return onnxruntime.__version__

    def session(self, row, data):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self.threads, 1
        model = onnx_model.build(row, data.weights)
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def forward(self, row, data):
        session = self.session(row, data)
        return (lambda: session.run(None, {"x": data.x})[0]), array_of("y")

    def step(self, row, data):
        """On bound buffers: two bindings in turn, so that the state is not copied."""
        from onnxruntime import OrtValue

        session, x, H = self.session(row, data), data.x.copy(), row.shape.H
        states = [[np.zeros((1, 1, H), np.float32) for _ in "hc"] for _ in range(2)]
        x_value = OrtValue.ortvalue_from_numpy(x)
        values = [[OrtValue.ortvalue_from_numpy(a) for a in state] for state in states]
        turns = [(bound(session, x_value, values[k], values[1 - k]), states[1 - k]) for k in range(2)]
        run = session.run_with_iobinding

        def call():
            x[:] = data.x
            binding, (h, _) = turns[0]
            run(binding)
            turns.reverse()
            return h

        return call, array_of("h", np.array)


def bound(session, x, before, after):
    binding = session.io_binding()
    binding.bind_ortvalue_input("x", x)
    for name, source, target in zip("hc", before, after):
        binding.bind_ortvalue_input(f"{name}0", source)
        binding.bind_ortvalue_output(f"{name}1", target)
    return binding
