"""The student leaves as weights, a folder of Hugging Face, a program of torch.export or ONNX, each checked."""

from limbeck.export.exported import Exported
from limbeck.export.formats import export
from limbeck.export.huggingface_folder import to_huggingface
from limbeck.export.int8_file import to_onnx_int8
from limbeck.export.onnx_file import to_onnx
from limbeck.export.program_file import to_torch
from limbeck.export.weights_file import to_safetensors

__all__ = ["Exported", "export", "to_huggingface", "to_onnx", "to_onnx_int8", "to_safetensors", "to_torch"]
