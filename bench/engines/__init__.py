"""The engines that are timed, one file for each package, one class for each way of using it.

To add one, write a subclass of `Engine` and give it a name here.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from .base import Engine, NotAvailable

__all__ = ["ENGINES", "Engine", "NotAvailable", "engine_class", "is_own", "missing_packages"]

ENGINES = {
    "clstm": ("own", "Clstm"),
    "clstm-cell": ("own", "ClstmCell"),
    "clstm-kernel": ("kernel", "ClstmKernel"),
    "clstm-avx2": ("own", "ClstmAVX2"),
    "clstm-plain": ("own", "ClstmPlain"),
    "torch": ("pytorch", "Torch"),
    "torch-packed": ("pytorch", "TorchPacked"),
    "torch-padded": ("pytorch", "TorchPadded"),
    "torch-jit": ("pytorch", "TorchJit"),
    "torch-cell": ("pytorch", "TorchCell"),
    "torch-fused": ("pytorch", "TorchFused"),
    "torch-loop": ("torch_loop", "TorchLoop"),
    "torch-loop-tuned": ("torch_loop", "TunedTorchLoop"),
    "keras": ("tensorflow", "Keras"),
    "keras-xla": ("tensorflow", "KerasXLA"),
    "tf-blockcell": ("tensorflow", "TFBlockCell"),
    "jax": ("jax_scan", "Jax"),
    "jax-inscan": ("jax_scan", "JaxInScan"),
    "ort": ("ort", "OnnxRuntime"),
    "openvino": ("openvino_cpu", "OpenVINO"),
    "numpy": ("plain_numpy", "PlainNumPy"),
}


def engine_class(name: str) -> type[Engine]:
    """The class of an engine, without importing its package."""
    module, attribute = ENGINES[name]
    return getattr(import_module(f".{module}", __name__), attribute)


def missing_packages(name: str) -> list[str]:
    """The packages that an engine needs and that are not installed."""
    return [package for package in engine_class(name).packages if find_spec(package) is None]


def is_own(name: str) -> bool:
    """Whether it is clstm in one of its forms, and no peer."""
    return name.startswith("clstm")
