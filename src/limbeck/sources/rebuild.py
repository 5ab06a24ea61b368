"""Builds a model from what a file says of it, without running any code of others."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import nn

from limbeck.errors import RunError
from limbeck.sources.models import load_model

_OWN = {"limbeck.demo.networks:student", "limbeck.demo.networks:teacher"}
# No further colon and no slash: timm's hf-hub: and local-dir: names fetch, and read settings that nobody checked.
_PUBLISHED = re.compile(r"(timm|torchvision):[\w.]+")
_NUMBERS = {
    "attn_drop_rate", "class_token", "depth", "dropout", "drop_path_rate", "drop_rate", "embed_dim", "image_size",
    "img_size", "in_chans", "mlp_ratio", "num_classes", "num_heads", "patch_size", "proj_drop_rate",
    "stochastic_depth_prob", "width_mult", "window_size",
}  # fmt: skip
_WORDS = {"global_pool"}


def builds_safely(name: object) -> bool:
    """Whether a model of that name is a published architecture or one of limbeck's own: nothing else is run or fetched.

    Example:
        >>> [builds_safely(name) for name in ("timm:resnet18", "timm:hf-hub:some/model", "net.py:student")]
        [True, False, False]
    """
    return isinstance(name, str) and (name in _OWN or _PUBLISHED.fullmatch(name) is not None)


def rebuild(name: str, options: object) -> nn.Module:
    """The model with random weights; of a library, from options that only set sizes.

    Args:
        name: what the user names, or what :func:`builds_safely`.
        options: of its builder, as the file has them.

    Raises:
        RunError: if an option could do more than set a size, such as fetch or read a file.
        ModelError: if the model cannot be built.

    Example:
        >>> rebuild("timm:resnet10t", {"num_classes": 3}).num_classes
        3
    """
    given = options if isinstance(options, Mapping) else {}
    library = name.partition(":")[0]
    if library not in {"timm", "torchvision", "hf"}:
        return load_model(name, options=given)
    refused = [key for key, value in given.items() if not _sets_a_size(library, key, value)]
    if refused:
        raise RunError(
            f"A run folder may only bring sizes for '{name}'. Found the option {refused[0]}={given[refused[0]]!r}. If "
            "you trust it, build the model yourself: limbeck.load(run, student=module)."
        )
    return load_model(name, weights="random", options=given)


def _sets_a_size(library: str, key: str, value: object) -> bool:
    if library == "hf" and key == "architecture":
        return isinstance(value, str)
    if key in _WORDS:
        return isinstance(value, str) and value.isidentifier()
    numbers = value if isinstance(value, list | tuple) else [value]
    plain = all(each is None or isinstance(each, int | float) for each in numbers)
    return plain and (key in _NUMBERS or (library == "hf" and not key.startswith("_")))
