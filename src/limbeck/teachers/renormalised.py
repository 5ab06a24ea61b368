"""A teacher that sees images as it was trained to, beside a student whose data are normalised otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from limbeck.batch import accepted
from limbeck.choice import Choice
from limbeck.errors import ModelError

NAME = "teacher normalisation"


class Normalisation(NamedTuple):
    """What is subtracted from each channel of images in [0, 1], and what each channel is divided by.

    Attributes:
        mean: one number a channel.
        std: one positive number a channel.

    Example:
        >>> print(Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
        mean 0.485, 0.456, 0.406, std 0.229, 0.224, 0.225
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, mean: Sequence[float | int], std: Sequence[float | int]) -> Normalisation:
        """From any sequences of numbers.

        Raises:
            ModelError: if they differ in length, or a deviation is not positive.
        """
        found = cls(tuple(map(float, mean)), tuple(map(float, std)))
        if not found.mean or len(found.mean) != len(found.std) or min(found.std) <= 0:
            raise ModelError(
                f"A normalisation needs a mean and a positive deviation for each channel. Found {found}. Correct them."
            )
        return found

    def __str__(self) -> str:
        """Both in one line."""
        return f"mean {_listed(self.mean)}, std {_listed(self.std)}"


class Renormalised(nn.Module):
    """A teacher whose images are normalised anew, from the way of the data to its own.

    The first argument is taken for the images, or ``pixel_values`` of keyword arguments; all else goes through. Sites
    have the names that they have in the teacher, which is not changed.

    Args:
        module: the teacher.
        data: how the images in the batches are normalised.
        own: how the teacher's images were in its training.

    Raises:
        ModelError: if the two differ in how many channels they have.

    Example:
        >>> teacher = nn.Conv2d(3, 8, 3)
        >>> plain, half = Normalisation.of([0] * 3, [1] * 3), Normalisation.of([0.5] * 3, [0.5] * 3)
        >>> images = torch.rand(2, 3, 8, 8)
        >>> torch.equal(Renormalised(teacher, data=plain, own=half)(images), teacher(images * 2 - 1))
        True
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, module: nn.Module, *, data: Normalisation, own: Normalisation) -> None:
        super().__init__()
        if len(data.mean) != len(own.mean):
            raise ModelError(
                f"Images are normalised anew channel by channel. Found {len(data.mean)} channels in the data's "
                f"normalisation and {len(own.mean)} in the teacher's. Give both for the same channels."
            )
        self.module, self.data, self.own = module, data, own
        mean, std = torch.tensor(data.mean), torch.tensor(data.std)
        own_mean, own_std = torch.tensor(own.mean), torch.tensor(own.std)
        # Buffers, so that they move with the teacher, and a cache of other ones is known to be stale.
        self.register_buffer("scale", (std / own_std).reshape(-1, 1, 1))
        self.register_buffer("shift", ((mean - own_mean) / own_std).reshape(-1, 1, 1))
        self.train(module.training)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The teacher's answer to the images as it knows them."""
        if args:
            return self.module(self._changed(args[0]), *args[1:], **accepted(self.module, kwargs))
        if "pixel_values" not in kwargs:
            raise ModelError(
                f"A teacher whose images are normalised anew needs images. Found the inputs {sorted(kwargs)}. Give the "
                "images alone, or as pixel_values."
            )
        kwargs = {**kwargs, "pixel_values": self._changed(kwargs["pixel_values"])}
        return self.module(**accepted(self.module, kwargs))

    @property
    def choice(self) -> Choice:
        """What the plan says of it."""
        reason = f"the data have {self.data}; its images are normalised anew before it sees them"
        return Choice(NAME, str(self.own), reason)

    def _changed(self, images: Any) -> Tensor:
        channels = len(self.scale)
        if not isinstance(images, Tensor) or images.ndim < 3 or images.shape[-3] != channels:
            found = tuple(images.shape) if isinstance(images, Tensor) else type(images).__name__
            raise ModelError(
                f"A teacher whose images are normalised anew needs images [B, {channels}, H, W]. Found {found}. Leave "
                "the teacher's normalisation to the data."
            )
        return images * self.scale.to(images.dtype) + self.shift.to(images.dtype)


def normalised_anew(teacher: nn.Module) -> tuple[Choice, ...]:
    """What a plan says of a teacher, or of the members of one, whose images are normalised anew."""
    found = [(name, each) for name, each in teacher.named_modules() if isinstance(each, Renormalised)]
    return tuple(replace(each.choice, name=f"{NAME} ({name})" if name else NAME) for name, each in found)


def _listed(numbers: Sequence[float]) -> str:
    return ", ".join(f"{number:g}" for number in numbers)
