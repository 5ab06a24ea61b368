"""A teacher that runs on every batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from limbeck.batch import Batch
from limbeck.capture.capture import Capture, Captured
from limbeck.links import FeatureSpec
from limbeck.teachers.committee import Committee
from limbeck.teachers.member_captures import MemberCaptures


class Teacher:
    """Runs a frozen model in evaluation mode and reads its sites.

    The model is put into evaluation mode and given back as it was by :meth:`close`; parameters, buffers and
    ``requires_grad`` flags are not touched.

    The members of a :class:`~limbeck.Committee` run one by one; see
    :class:`~limbeck.teachers.member_captures.MemberCaptures`.

    Args:
        model: the teacher.
        sites: what to read; see :class:`~limbeck.capture.Capture`.
        answers: whether its output is needed. If not, most forwards end where the last site is read, and their output
            is ``None``; :attr:`why_not_stopped` says of a model that always runs to its end why it does.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> teacher = Teacher(model, [FeatureSpec("1", "BC", channels=8)])
        >>> teacher(Batch(torch.zeros(3, 4))).features["1"].x.shape
        torch.Size([3, 1, 8])
        >>> teacher.close()
    """

    def __init__(self, model: nn.Module, sites: Sequence[FeatureSpec] = (), *, answers: bool = True) -> None:
        self.model = model
        self._modes = {module: module.training for module in model.modules()}
        self._unstoppable = "its answers are needed" if answers else None
        self._capture: Capture | MemberCaptures
        if isinstance(model, Committee):
            self._capture = MemberCaptures(model, sites, why_not=None if answers else _unstoppable)
            return
        self._unstoppable = self._unstoppable or _unstoppable(model)
        self._capture = Capture(model, sites, stop=self._unstoppable is None)

    def __call__(self, batch: Batch) -> Captured:
        """Run the teacher on a batch."""
        if any(module.training for module in self._modes):
            self.model.eval()
        if isinstance(self._capture, MemberCaptures):
            # Whether gradients are recorded here decides what runs at once; the members run without.
            return self._capture(batch.inputs, batch.mask)
        # no_grad, not inference_mode: losses that save the teacher's tensor for backward refuse inference tensors.
        with torch.no_grad():
            seen = batch.for_teacher
            return self._capture(seen.inputs, seen.mask)

    @property
    def why_not_stopped(self) -> str | None:
        """Why every forward runs to its end; ``None`` if they are stopped. Known after the first forward."""
        return self._unstoppable or self._capture.why_not_stopped

    def close(self) -> None:
        """Take the hooks off and give every module its mode back."""
        self._capture.close()
        for module, training in self._modes.items():
            module.training = training

    def __enter__(self) -> Teacher:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _unstoppable(model: nn.Module) -> str | None:
    """What kind of model cannot be stopped in its forward."""
    names = {each.__name__ for module in model.modules() for each in type(module).__mro__}
    # nn.Module.compile compiles a module in place, without another class around it.
    if "OptimizedModule" in names or any(each._compiled_call_impl is not None for each in model.modules()):
        return "it is compiled: one graph runs as a whole"
    if names & {"FSDPModule", "FullyShardedDataParallel"}:
        return "it is sharded: a forward that is left half-way leaves its weights gathered"
    return None
