"""How the images were normalised on which published weights were trained, and a teacher that sees them so."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from torch import nn

from limbeck.errors import ModelError
from limbeck.sources.extra import optional
from limbeck.teachers.renormalised import Normalisation, Renormalised

Asked = Literal["auto", "published", "data"]
_PIXEL = 1 / 255


def as_trained(
    teacher: nn.Module,
    name: str,
    *,
    weights: Path | str | None,
    options: Mapping[str, Any],
    data: Normalisation | None,
    asked: Asked = "auto",
) -> nn.Module:
    """The teacher, whose images are normalised anew where its published weights were trained on others.

    Nothing is guessed: it is left as it is where the normalisation of the data or of the weights is not known. Whether
    weights of a file were trained as those that the library publishes is not known either: then a warning says so.

    Args:
        teacher: what ``name`` stands for.
        name: as :func:`~limbeck.sources.load_model` takes it.
        weights: likewise.
        options: likewise.
        data: how the images of the data are normalised, if that is known.
        asked: ``auto``; ``published`` for what the library publishes, also with the weights of a file; ``data`` to
            leave the teacher as it is.

    Raises:
        ModelError: if what is published is asked for and not known.

    Example:
        >>> from limbeck.sources import load_model
        >>> teacher = load_model("timm:vit_tiny_patch16_224")   # published for a mean and a deviation of 0.5
        >>> plain = Normalisation.of([0, 0, 0], [1, 1, 1])
        >>> how = {"weights": "t.safetensors", "options": {}, "data": plain, "asked": "published"}
        >>> as_trained(teacher, "timm:vit_tiny_patch16_224", **how).choice.value
        'mean 0.5, 0.5, 0.5, std 0.5, 0.5, 0.5'
    """
    if asked == "data" or data is None or weights == "random":
        return teacher
    of_library = weights == "pretrained" or (weights is None and _loads_by_itself(name, options))
    if not of_library and weights is None and asked == "auto":
        return teacher
    own = published_normalisation(name, teacher, options)
    if own is None and asked == "published":
        raise ModelError(
            f"The normalisation that {name} is published with is asked for. It is not known. Leave it to the data "
            "(teacher-normalisation: data), or normalise in a factory: path.py:factory."
        )
    if own is None or _same(own, data) or len(own.mean) != len(data.mean):
        return teacher
    if of_library or asked == "published":
        return Renormalised(teacher, data=data, own=own)
    warnings.warn(
        f"A teacher should see images as in its training. Found that {name} is published for {own}, that the data have "
        f"{data}, and that its weights come from a file, so that neither is known to be right: it sees the data's. Say "
        "which it is: --teacher-normalisation published, or data.",
        stacklevel=2,
    )
    return teacher


def published_normalisation(name: str, model: nn.Module, options: Mapping[str, Any]) -> Normalisation | None:
    """How images in [0, 1] are normalised for the weights that a library publishes; ``None`` if that is not known.

    Args:
        name: of a model of timm, torchvision or Hugging Face.
        model: what it stands for.
        options: of its builder.

    Example:
        >>> from limbeck.sources import load_model
        >>> print(published_normalisation("torchvision:resnet18", nn.Identity(), {}))
        mean 0.485, 0.456, 0.406, std 0.229, 0.224, 0.225
    """
    library, _, rest = name.partition(":")
    find = {"timm": _of_timm, "torchvision": _of_torchvision, "hf": _of_hugging_face}.get(library)
    found = None if find is None else find(rest, model, options)
    mean, std = (None, None) if found is None else found
    return Normalisation.of(mean, std) if mean and std and len(mean) == len(std) else None


def _loads_by_itself(name: str, options: Mapping[str, Any]) -> bool:
    return name.startswith("hf:") or bool(options.get("pretrained") or options.get("weights"))


def _of_timm(_name: str, model: nn.Module, options: Mapping[str, Any]) -> tuple[Any, Any] | None:
    settings: Any = getattr(model, "pretrained_cfg", None) or {}
    return None if options.get("in_chans", 3) != 3 else (settings.get("mean"), settings.get("std"))


def _of_torchvision(name: str, _model: nn.Module, options: Mapping[str, Any]) -> tuple[Any, Any] | None:
    models = optional("torchvision.models", extra="vision", wanted_by=f"torchvision:{name}")
    published = models.get_model_weights(name)
    asked = options.get("weights") or "DEFAULT"
    entry = getattr(published, asked, None) if isinstance(asked, str) else asked
    preset = None if entry is None else entry.transforms()
    # Detectors normalise by themselves; their preset has no mean.
    return None if preset is None else (getattr(preset, "mean", None), getattr(preset, "std", None))


def _of_hugging_face(name: str, _model: nn.Module, _options: Mapping[str, Any]) -> tuple[Any, Any] | None:
    transformers = optional("transformers", extra="text", wanted_by=f"hf:{name}")
    try:
        settings, _ = transformers.ImageProcessingMixin.get_image_processor_dict(name)
    except (OSError, ValueError):
        return None  # no images, or no settings beside the weights
    factor = settings.get("rescale_factor", _PIXEL)
    if not settings.get("do_normalize") or not settings.get("do_rescale", True) or abs(factor - _PIXEL) > 1e-9:
        return None
    return settings.get("image_mean"), settings.get("image_std")


def _same(one: Normalisation, other: Normalisation) -> bool:
    pairs = zip((*one.mean, *one.std), (*other.mean, *other.std), strict=False)
    return len(one.mean) == len(other.mean) and all(abs(a - b) < 1e-6 for a, b in pairs)
