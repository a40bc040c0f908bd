"""Reads the ONNX files of the node tests, without the package onnx: nodes with integer attributes, and raw tensors.

The numbers of fields are those of onnx.proto: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from collections import defaultdict

import numpy as np

DTYPES = {1: "<f4", 6: "<i4", 7: "<i8"}


def fields(data):
    """The fields of a protocol buffer by number, each a list: integers of kind 0, bytes of all other kinds."""
    found, at = defaultdict(list), 0
    while at < len(data):
        key, at = integer(data, at)
        number, kind = divmod(key, 8)
        if kind == 0:
            value, at = integer(data, at)
        else:
            size, at = integer(data, at) if kind == 2 else ({1: 8, 5: 4}[kind], at)
            value, at = data[at : at + size], at + size
        found[number].append(value)
    return found


def integer(data, at):
    """An integer of seven bits in each byte, and where the next field starts."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def read_node(path):
    """The operator of a model of one node, and its attributes, which have to be integers."""
    (graph,) = fields(path.read_bytes())[7]
    (node,) = fields(graph)[1]
    node = fields(node)
    (operator,) = node[4]
    attributes = {}
    for attribute in map(fields, node[5]):
        (name,), (value,) = attribute[1], attribute[3]
        attributes[name.decode()] = value
    return operator.decode(), attributes


def read_tensor(path):
    """The name of a tensor, and its values, which have to be raw."""
    tensor = fields(path.read_bytes())
    (name,), (kind,), (values,) = tensor[8], tensor[2], tensor[9]
    return name.decode(), np.frombuffer(values, DTYPES[kind]).reshape(tensor[1])
