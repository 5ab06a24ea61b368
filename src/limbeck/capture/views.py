"""The forwards that a probe looks at: one written down in full, and the shapes of others beside it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import torch
from torch import nn

from limbeck.batch import Batch, first_tensor, move, with_samples
from limbeck.capture.entries import entry_modules
from limbeck.capture.heads import is_weighted_layer
from limbeck.capture.layouts import Evidence, Layout, Shape, Shapes, infer, stated
from limbeck.capture.sites import Place
from limbeck.capture.trace import Call, Key, Trace, record
from limbeck.capture.variations import Variation, likely_space, other_sizes
from limbeck.errors import LayoutError, ModelError

SAMPLES, OTHER_SAMPLES = 2, 3  # our choice: the fewest that differ and are not 1, which broadcasting would hide


class Views:
    """Traces of one model on two samples, on three samples, and on inputs of another size if it takes them.

    Args:
        model: in the state that :func:`~limbeck.capture.untouched.untouched` sets up.
        batch: data to run it on.

    Attributes:
        inputs: the two samples.
        mask: their padding mask, if they have one.
        main: the forward on two samples, with its graph.
        other_batch: the shapes on three samples.
        other_size: the shapes on another size of input; ``None`` if the model takes one size only.

    Raises:
        ModelError: if the model does not run on the batch, or is scripted.
    """

    def __init__(self, model: nn.Module, batch: Batch) -> None:
        if isinstance(model, torch.jit.ScriptModule):
            raise ModelError(
                "A probe needs modules that run one by one. Found a scripted model, which runs as a whole. "
                "Give the model as it was before torch.jit.script or torch.jit.trace."
            )
        device = next((each.device for each in (*model.parameters(), *model.buffers())), None)
        inputs = batch.inputs if device is None else move(batch.inputs, device)
        few = with_samples(inputs, SAMPLES)
        self.inputs = few
        self.mask = Batch(few).mask
        self._entries = entry_modules(model, few)
        self.main = self._run(model, few)
        self.other_batch = self._run(model, with_samples(inputs, OTHER_SAMPLES), shapes_only=True)
        self.other_size, self._variation = self._resize(model, few)

    def shapes(self, place: Place) -> Shapes:
        """The shapes of a site in all forwards.

        Raises:
            LayoutError: if the site does not fire for another number of samples.
        """
        other_batch = _shape(self.other_batch, place)
        if other_batch is None:
            raise LayoutError(
                f"Site '{place.site}' fires on {SAMPLES} samples but not on {OTHER_SAMPLES}. "
                "Choose a site that does not depend on the size of the batch."
            )
        other_size = None if self.other_size is None else _shape(self.other_size, place)
        return Shapes(place.seen.shape, other_batch, other_size, (SAMPLES, OTHER_SAMPLES))

    def keeps_samples_apart(self, place: Place) -> bool:
        """Whether exactly one axis of a site is the batch, with nothing else folded into it."""
        return self.shapes(place).batch_axis is not None

    def layout(self, place: Place, axes: str | None) -> Layout:
        """What the axes of a site mean; ``axes`` if the user states them.

        Raises:
            LayoutError: if they cannot be told apart.
        """
        shapes, evidence = self.shapes(place), self._evidence(place)
        return infer(place.site, shapes, evidence) if axes is None else stated(place.site, axes, shapes, evidence)

    def _evidence(self, place: Place) -> Evidence:
        readers = [] if place.seen.key is None else self._readers.get(place.seen.key, [])
        upstream = [(grid, other) for moment, grid, other in self._grids if moment <= place.moment]
        now = first_tensor(self.inputs).shape
        axes = self._variation.axes if self._variation else likely_space(self.inputs)
        other_space = self._variation.sizes if self._variation else None
        return Evidence(
            place.call, readers, self._alike_before(place), upstream, tuple(now[i] for i in axes), other_space
        )

    def _alike_before(self, place: Place) -> list[Call]:
        shape = place.seen.shape
        alike = [each for each in self._layers if each.left <= place.moment and each.outputs[0].shape == shape]
        return alike[::-1]

    @cached_property
    def _layers(self) -> list[Call]:
        return [each for each in self.main.calls if each.outputs and is_weighted_layer(each)]

    @cached_property
    def _readers(self) -> dict[Key, list[Call]]:
        found: dict[Key, list[Call]] = {}
        for each in self.main.calls:
            if not each.children and each.inputs and each.inputs[0].key is not None:
                found.setdefault(each.inputs[0].key, []).append(each)
        return found

    @cached_property
    def _grids(self) -> list[tuple[int, Shape, Shape | None]]:
        """When a convolution made a grid, and which, here and at the other input size."""
        found = []
        for each in self.main.calls:
            if isinstance(each.module, nn.Conv2d | nn.Conv3d) and each.outputs:
                other = None if self.other_size is None else self.other_size.find(each.name, each.count)
                shape = other.outputs[0].shape[2:] if other is not None and other.outputs else None
                found.append((each.left, each.outputs[0].shape[2:], shape))
        return found

    def _run(self, model: nn.Module, inputs: Any, *, shapes_only: bool = False) -> Trace:
        trace = record(model, inputs, entries=self._entries, shapes_only=shapes_only)
        if trace.error is not None:
            raise ModelError(
                f"{type(model).__name__} must run on a batch of the data. It raised "
                f"{type(trace.error).__name__}: {trace.error}. Found inputs {_described(inputs)}. "
                "If the batch is read wrongly, give adapt=lambda raw: limbeck.Batch(inputs, targets)."
            ) from trace.error
        return trace

    def _resize(self, model: nn.Module, inputs: Any) -> tuple[Trace | None, Variation | None]:
        """The first size that the model takes; failing that, the attempt that came farthest.

        A network that flattens a map into a layer of fixed width refuses only there: what ran before is as good.
        """
        best: tuple[Trace | None, Variation | None] = (None, None)
        for variation in other_sizes(inputs):
            trace = record(model, variation.inputs, entries=self._entries, shapes_only=True)
            if trace.error is None:
                return trace, variation
            farthest = 0 if best[0] is None else len(best[0].calls)
            if len(trace.calls) > farthest and any(is_weighted_layer(each) for each in trace.calls):
                best = trace, variation
        return best


def _shape(trace: Trace, place: Place) -> Shape | None:
    call = trace.find(place.call.name, place.call.count)
    if call is None:
        return None
    seen = call.inputs if place.reads_input else call.outputs
    return seen[place.item].shape if place.item < len(seen) else None


def _described(inputs: Any) -> str:
    if isinstance(inputs, Mapping):
        return "{" + ", ".join(f"{name}: {_described(each)}" for name, each in inputs.items()) + "}"
    if isinstance(inputs, tuple):
        return "(" + ", ".join(map(_described, inputs)) + ")"
    return f"{tuple(inputs.shape)} {inputs.dtype}" if hasattr(inputs, "shape") else type(inputs).__name__
