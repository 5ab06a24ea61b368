"""The role of each axis of a raw tensor, read from how its shape answers to other inputs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import nn

from limbeck.capture.trace import Call
from limbeck.errors import LayoutError

Shape = tuple[int, ...]

_MOST_PREFIX_TOKENS = 16


class Layout(NamedTuple):
    """What the axes of a site mean.

    Attributes:
        axes: one letter for each axis, as in :class:`~limbeck.links.FeatureSpec`.
        channels: size of the channel axis.
        positions: number of positions, prefix included.
        grid: the grid of the positions behind the prefix; ``None`` for a vector.
        prefix: class, register and distillation tokens in front.
        follows_input: whether the number of positions changed with the size of the input.
    """

    axes: str
    channels: int
    positions: int
    grid: tuple[int, ...] | None
    prefix: int
    follows_input: bool


class Shapes(NamedTuple):
    """The shapes of one tensor in the probing forwards.

    Attributes:
        first: on the probed batch.
        other_batch: on a batch of another size.
        other_size: on inputs of another size; ``None`` if the model takes only one.
        samples: how many samples the two batches hold.
    """

    first: Shape
    other_batch: Shape
    other_size: Shape | None
    samples: tuple[int, int] = (2, 3)

    @property
    def batch_axis(self) -> int | None:
        """The one axis that is the batch; ``None`` if there is none, or if something else is folded into it."""
        if len(self.first) != len(self.other_batch) or len(self.first) < 2:
            return None
        pairs = list(zip(self.first, self.other_batch, strict=True))
        changed = [i for i, (a, b) in enumerate(pairs) if a != b]
        return changed[0] if len(changed) == 1 and pairs[changed[0]] == self.samples else None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known about the whole network when one of its tensors is judged.

    Attributes:
        call: the call that the tensor came out of, or went into.
        consumers: calls that read the same tensor.
        before: layers with weights that made tensors of the same shape before, the nearest first.
        upstream: grids that convolutions made before, the latest last, each with its grid at the other input size.
        space: the position axes of the input: sizes now and, where probed, at the other size.
    """

    call: Call
    consumers: Sequence[Call]
    before: Sequence[Call]
    upstream: Sequence[tuple[Shape, Shape | None]]
    space: Shape
    other_space: Shape | None


def infer(site: str, shapes: Shapes, evidence: Evidence) -> Layout:
    """Tell the axes of a site apart.

    The batch axis is the one that changes with the batch, position axes change with the input, the rest is channels;
    where the model takes inputs of one size only, the layers around the tensor say which axis is theirs.

    Raises:
        LayoutError: if that leaves more than one reading.
    """
    first = shapes.first
    batch = shapes.batch_axis
    if batch is None:
        raise _ambiguous(
            site, first, f"no axis, or more than one, holds the {shapes.samples[0]} samples and nothing else"
        )
    rest = [i for i in range(len(first)) if i != batch]
    moved = _moved(rest, shapes)
    channel = _channel_axis(rest, moved, first, evidence)
    if channel is None:
        raise _ambiguous(site, first, "neither another input size nor the layers around it tell its axes apart")
    places = [i for i in rest if i != channel]
    grid, prefix = _grid(places, batch, channel, shapes, evidence)
    axes = _letters(len(first), batch, channel, places)
    positions = math.prod(first[i] for i in places)
    return Layout(axes, first[channel], positions, grid, prefix, any(i in moved for i in places))


def stated(site: str, axes: str, shapes: Shapes, evidence: Evidence) -> Layout:
    """The layout that the user states for a site, completed by what was probed.

    Raises:
        LayoutError: if the statement does not name each axis of the tensor once, batch and channels among them.
    """
    first = shapes.first
    if len(axes) != len(first) or len(set(axes)) != len(axes) or not {"B", "C"} <= set(axes) or not axes.isalpha():
        raise LayoutError(
            f"A layout needs one letter for each axis, B and C among them. Found '{axes}' for site '{site}' of shape "
            f"{first}. Write for example layouts={{'{site}': '{'BNCDE'[: max(2, len(first))]}'}}."
        )
    batch, channel = axes.index("B"), axes.index("C")
    places = [i for i in range(len(first)) if i not in {batch, channel}]
    grid, prefix = _grid(places, batch, channel, shapes, evidence)
    moved = _moved(places, shapes)
    return Layout(axes, first[channel], math.prod(first[i] for i in places), grid, prefix, bool(moved))


def check_statements(layouts: Mapping[str, str], known: Sequence[str]) -> None:
    """Refuse a stated layout for a site that is not read.

    Raises:
        LayoutError: naming the site and those that exist.
    """
    for site in layouts:
        if site not in known:
            raise LayoutError(
                f"layouts= names '{site}', which is none of the sites ({', '.join(map(repr, known))}). "
                f"Correct the name, or name the sites with sites=, '{site}' among them."
            )


def _ambiguous(site: str, shape: Shape, why: str) -> LayoutError:
    example = {2: "BC", 3: "BNC", 4: "BCHW", 5: "BCDHW"}.get(len(shape), "BNC")
    return LayoutError(
        f"The roles of the axes of site '{site}' cannot be inferred. Found shape {shape}: {why}. "
        f"State them: layouts={{'{site}': '{example}'}} (B batch, C channels, other letters positions)."
    )


def _moved(axes: Sequence[int], shapes: Shapes) -> set[int]:
    if shapes.other_size is None or len(shapes.other_size) != len(shapes.first):
        return set()
    return {i for i in axes if shapes.first[i] != shapes.other_size[i]}


def _channel_axis(rest: Sequence[int], moved: set[int], shape: Shape, evidence: Evidence) -> int | None:
    left = [i for i in rest if i not in moved]
    if len(left) <= 1:
        return left[0] if left else None
    wide = [i for i in left if shape[i] > 1]
    if len(wide) == 1:
        return wide[0]
    for call in _witnesses(evidence, shape):
        said = _says(call.module, shape, left)
        if said is not None:
            return said
    return _beside_a_grid(left, shape, evidence.space)


def _beside_a_grid(left: Sequence[int], shape: Shape, space: Shape) -> int | None:
    """The first or last axis, if the others are the input's height and width divided by one whole number."""
    if len(space) < 2 or len(left) != len(space) + 1:
        return None
    fitting = []
    for channel in (left[0], left[-1]):
        sides = [shape[i] for i in left if i != channel]
        steps = {whole / side for whole, side in zip(space, sides, strict=True)}
        if len(steps) == 1 and steps.pop().is_integer():
            fitting.append(channel)
    return fitting[0] if len(fitting) == 1 else None


def _witnesses(evidence: Evidence, shape: Shape) -> list[Call]:
    """Layers that touch the tensor, those nearest to it first."""
    inside = [each for each in reversed(evidence.call.within()) if any(one.shape == shape for one in each.outputs)]
    return [evidence.call, *evidence.consumers, *inside, *evidence.before]


def _says(module: nn.Module, shape: Shape, left: Sequence[int]) -> int | None:
    """Which axis a layer takes for channels."""
    if isinstance(module, nn.Linear | nn.RNNBase | nn.MultiheadAttention):
        return _fits(len(shape) - 1, left)
    if isinstance(module, nn.modules.conv._ConvNd | nn.modules.batchnorm._NormBase | nn.GroupNorm):
        return _fits(1, left)
    # Normalisations and scales of any make have one number for each channel.
    lengths = {each.shape[0] for each in module.parameters(recurse=False) if each.ndim == 1}
    fitting = [i for i in left if shape[i] in lengths]
    if len(fitting) == 1:
        return fitting[0]
    return len(shape) - 1 if isinstance(module, nn.LayerNorm) and len(shape) - 1 in fitting else None


def _fits(axis: int, left: Sequence[int]) -> int | None:
    return axis if axis in left else None


def _letters(count: int, batch: int, channel: int, places: Sequence[int]) -> str:
    names = {0: "", 1: "N" if (batch, channel) == (0, count - 1) else "L", 2: "HW", 3: "DHW"}
    letters = [""] * count
    letters[batch], letters[channel] = "B", "C"
    spare = names.get(len(places), "DEFGHIJ"[: len(places)])
    for letter, place in zip(spare, places, strict=True):
        letters[place] = letter
    return "".join(letters)


def _grid(
    places: Sequence[int], batch: int, channel: int, shapes: Shapes, evidence: Evidence
) -> tuple[tuple[int, ...] | None, int]:
    """The grid, and how many positions stand in front of it."""
    first = shapes.first
    if len(places) != 1:
        return tuple(first[i] for i in places) or None, 0
    place = places[0]
    count = first[place]
    other = None if place not in _moved([place], shapes) or shapes.other_size is None else shapes.other_size[place]
    if len(evidence.space) < 2 or channel < place or batch > place:
        return (count,), 0
    return (
        _from_convolutions(count, other, evidence)
        or _from_scale(count, other, evidence)
        or _from_aspect(count, evidence.space)
    )


def _from_convolutions(count: int, other: int | None, evidence: Evidence) -> tuple[Shape, int] | None:
    """Tokens are most often what a convolution made: its grid, with a few tokens put in front."""
    for grid, other_grid in reversed(evidence.upstream):
        prefix = count - math.prod(grid)
        if not 0 <= prefix <= _MOST_PREFIX_TOKENS:
            continue
        if other is None or other_grid is None:
            if prefix < max(1, math.prod(grid)):
                return grid, prefix
        elif other - math.prod(other_grid) == prefix:
            return grid, prefix
    return None


def _from_scale(count: int, other: int | None, evidence: Evidence) -> tuple[Shape, int] | None:
    """Positions of a grid grow with the input, tokens in front do not."""
    if other is None or evidence.other_space is None:
        return None
    growth = math.prod(evidence.other_space) / math.prod(evidence.space)
    if growth == 1:
        return None
    prefix = (growth * count - other) / (growth - 1)
    if not 0 <= round(prefix) <= _MOST_PREFIX_TOKENS or abs(prefix - round(prefix)) > 1e-6:
        return None
    grid = _like(count - round(prefix), evidence.space)
    return None if grid is None else (grid, round(prefix))


def _from_aspect(count: int, space: Shape) -> tuple[Shape, int]:
    """The fewest tokens in front that leave a grid of the input's proportions; else a row of positions."""
    for prefix in range(min(_MOST_PREFIX_TOKENS, count - 1) + 1):
        grid = _like(count - prefix, space)
        if grid is not None:
            return grid, prefix
    return (count,), 0


def _like(count: int, space: Shape) -> Shape | None:
    """A grid of so many positions with the proportions of the input."""
    if count < 1:
        return None
    scale = (count / math.prod(space)) ** (1 / len(space))
    grid = tuple(max(1, round(side * scale)) for side in space)
    return grid if math.prod(grid) == count else None
