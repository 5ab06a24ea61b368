"""Reads weights from a file that cannot run code, and puts them into a model without leaving any out."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from limbeck.errors import ModelError
from limbeck.sources.hub import brief

_PICKLED = {".pt", ".pth", ".bin", ".ckpt"}
_IN_FOLDER = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "student.safetensors",
)
_NESTED = ("state_dict", "model", "model_state_dict", "module")
_WRAPPERS = ("module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.")
_SHOWN = 3


def load_weights(model: nn.Module, path: Path | str) -> None:
    """Fill every parameter and buffer of ``model`` from a file.

    No file read here can run code: ``.safetensors`` holds numbers only, and ``.pt``, ``.pth``, ``.bin`` and ``.ckpt``
    are read with ``torch.load(weights_only=True)``. A state dict nested under ``state_dict`` or ``model``, and names
    that all begin with the ``module.`` of DDP or the ``_orig_mod.`` of ``torch.compile``, are understood.

    Args:
        model: changed in place.
        path: the file, or a folder as Hugging Face's ``save_pretrained`` writes it.

    Raises:
        ModelError: if there is no such file, it holds anything but tensors, or names or shapes differ from the model's.

    Example:
        >>> import tempfile
        >>> from safetensors.torch import save_file
        >>> source, copy = nn.Linear(2, 3), nn.Linear(2, 3)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_file(source.state_dict(), f"{folder}/linear.safetensors")
        ...     load_weights(copy, f"{folder}/linear.safetensors")
        >>> torch.equal(source.weight, copy.weight)
        True
    """
    path = Path(path).expanduser()
    state = _unwrapped(read_weights(path), model)
    # What a module keeps beside its tensors (get_extra_state) is in no weights file.
    own = {name: value for name, value in model.state_dict(keep_vars=True).items() if isinstance(value, Tensor)}
    _check(own, state, model, path)
    model.load_state_dict(state, strict=False)


def read_weights(path: Path | str) -> dict[str, Tensor]:
    """The tensors of a weights file by name, on the CPU.

    Raises:
        ModelError: if there is no such file, or it holds anything but tensors.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        return _read_folder(path)
    if not path.is_file():
        raise ModelError(f"Weights are to be read from {path}. There is no such file. Check the path.")
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise ModelError(
                f"{path} is no readable safetensors file ({brief(error)}). Write or download it anew."
            ) from error
    if path.suffix in _PICKLED:
        return _read_pickled(path)
    raise ModelError(
        f"Weights must be a .safetensors, .pt, .pth, .bin or .ckpt file, or a folder of one. Found {path.name}. "
        "Save them with safetensors.torch.save_model(model, 'model.safetensors')."
    )


def _read_folder(folder: Path) -> dict[str, Tensor]:
    found = next((folder / name for name in _IN_FOLDER if (folder / name).is_file()), None)
    if found is None:
        raise ModelError(f"The folder {folder} holds no weights. One of these is needed: {', '.join(_IN_FOLDER)}.")
    if found.suffix != ".json":
        return read_weights(found)
    try:
        shards = sorted(set(json.loads(found.read_text())["weight_map"].values()))
    except (ValueError, KeyError, AttributeError) as error:
        raise ModelError(f"{found} is no index of weight files ({brief(error)}). Download it anew.") from error
    outside = [shard for shard in shards if Path(shard).name != shard]
    if outside:
        raise ModelError(f"{found} must name files in its own folder. Found '{outside[0]}'. Download it anew.")
    return {name: tensor for shard in shards for name, tensor in read_weights(folder / shard).items()}


def _read_pickled(path: Path) -> dict[str, Tensor]:
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise ModelError(
            f"{path} must hold tensors only, for reading anything else would run its code. It could not be read so "
            f"({brief(error)}). Write torch.save(model.state_dict(), ...) where the model can be loaded."
        ) from error
    for key in _NESTED:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
            break
    if not isinstance(loaded, Mapping) or not loaded:
        raise ModelError(f"{path} must hold a state dict. Found {type(loaded).__name__}. Save model.state_dict().")
    strange = {name: value for name, value in loaded.items() if not isinstance(value, Tensor)}
    if strange:
        name, value = next(iter(strange.items()))
        raise ModelError(
            f"{path} must hold a state dict, itself or under {' or '.join(map(repr, _NESTED))}. Found "
            f"{type(value).__name__} under {name!r}. Save model.state_dict()."
        )
    return dict(loaded)


def _unwrapped(state: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    own = model.state_dict(keep_vars=True)
    for prefix in _WRAPPERS:
        stripped = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
        if len(stripped) == len(state) and own.keys() >= stripped.keys():
            return stripped
    return state


def _check(own: Mapping[str, Tensor], state: Mapping[str, Tensor], model: nn.Module, path: Path) -> None:
    # safetensors keeps tied weights under one of their names: a name whose tensor another one fills is not missing.
    filled = {_identity(own[name]) for name in state if name in own}
    missing = [name for name in own if name not in state and _identity(own[name]) not in filled]
    unexpected = [name for name in state if name not in own]
    shapes = [
        f"{name} is {list(own[name].shape)} in the model, {list(state[name].shape)} in the file"
        for name in own
        if name in state and own[name].shape != state[name].shape
    ]
    faults: list[str] = []
    if missing:
        faults.append(f"{len(missing)} names are missing in the file ({_some(missing)})")
    if unexpected:
        faults.append(f"{len(unexpected)} are not in the model ({_some(unexpected)})")
    if shapes:
        faults.append(f"{len(shapes)} shapes differ ({_some(shapes)})")
    if faults:
        raise ModelError(
            f"{path} must hold exactly the weights of {type(model).__name__}. Found that {'; '.join(faults)}. Name the "
            "model that the file was saved from, with its options (such as num_classes=10)."
        )


def _identity(tensor: Tensor) -> Any:
    return (tensor.data_ptr(), tensor.shape, tensor.stride()) if tensor.numel() else id(tensor)


def _some(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
