"""The student leaves as plain weights, a program of torch.export or ONNX, each checked against the trained one."""

from limbeck.export.exported import Exported
from limbeck.export.formats import export
from limbeck.export.int8_file import to_onnx_int8
from limbeck.export.onnx_file import to_onnx
from limbeck.export.program_file import to_torch
from limbeck.export.weights_file import to_safetensors

__all__ = ["Exported", "export", "to_onnx", "to_onnx_int8", "to_safetensors", "to_torch"]
