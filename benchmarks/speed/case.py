"""A pair with its data, and what every system needs to work on it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch
from benchmarks.speed.pairs import Pair
from benchmarks.speed.ticking import UNTIMED, Clock, ticking_loader
from torch import Tensor, nn
from torch.utils.data import DataLoader

import limbeck
from limbeck.distiller import Distiller
from limbeck.planning import Plan, build, fit_targets

FEATURE_WEIGHT = 10.0
CLIP = 1.0
RATE = 1e-4


class Case:
    """Two models with random weights and random data.

    Args:
        pair: which models.
        steps: how many steps of a pass are timed.
    """

    def __init__(self, pair: Pair, *, steps: int) -> None:
        torch.manual_seed(0)
        self.pair, self.steps = pair, steps
        self.teacher, self.student = pair.teacher().eval(), pair.student()
        # The last step of a pass has no next batch to end at.
        self.count = pair.batch_size * (steps + UNTIMED + 1)
        self.inputs, self.labels = pair.batch(self.count)

    def new_student(self) -> nn.Module:
        """A copy of the student, in training mode."""
        return copy.deepcopy(self.student).train()

    def loader(self, clock: Clock, batch: Callable[[list[int]], Any] | None = None) -> DataLoader[Any]:
        """One pass over the data; ``batch`` makes a batch from the numbers of its samples."""
        return ticking_loader(batch or self.batch, count=self.count, size=self.pair.batch_size, clock=clock)

    def batch(self, indices: list[int]) -> tuple[Any, Tensor]:
        """Inputs and labels."""
        return self.inputs[indices], self.labels[indices]

    @cached_property
    def batches(self) -> list[tuple[Any, Tensor]]:
        """Two batches, to take statistics from."""
        return list(self.loader(Clock()))[:2]

    @cached_property
    def targets(self) -> list[tuple[Tensor, Tensor]]:
        """Mean and deviation of each channel of the teacher, in the shape of its features, for each link."""
        features = [self.teacher_features(x) for x, _ in self.batches]
        return [_statistics(torch.cat(each), self.pair.channel) for each in zip(*features, strict=True)]

    @cached_property
    def standardised(self) -> list[Tensor]:
        """What the student must predict of every sample, for each link."""
        size = self.pair.batch_size
        parts = [self.teacher_features(self.inputs[start : start + size]) for start in range(0, self.count, size)]
        joined = [torch.cat(each) for each in zip(*parts, strict=True)]
        return [(each - mean) / deviation for each, (mean, deviation) in zip(joined, self.targets, strict=True)]

    @torch.no_grad()
    def teacher_features(self, inputs: Any) -> list[Tensor]:
        """The teacher's feature of each link."""
        read = Hooks(self.teacher, [link[1] for link in self.pair.links])
        self.teacher(inputs)
        features = [read.seen[link[1]] for link in self.pair.links]
        read.close()
        return features

    def projectors(self) -> nn.ModuleList:
        """A linear map of the channels for each link."""
        return nn.ModuleList(self.pair.projector(student, teacher) for _, _, student, teacher in self.pair.links)

    def plan(self, balancer: dict[str, Any]) -> Plan:
        """The same links and terms as a plan of limbeck's."""
        links = self.pair.links
        recipe = {
            "version": 1,
            "mapping": {"kind": "Explicit", "pairs": [[link[0], link[1]] for link in links]},
            "features": [{"loss": {"kind": "MSE"}}],
            "outputs": [{"loss": {"kind": "CrossEntropy"}}],
            "balancer": balancer,
        }
        sites = {"student": [link[0] for link in links], "teacher": [link[1] for link in links]}
        return limbeck.plan(self.teacher, self.new_student(), self.loader(Clock()), recipe=recipe, sites=sites)

    def distiller(self, plan: Plan) -> Distiller:
        """The plan around a student of its own, with its targets fitted."""
        distiller = build(plan, self.new_student(), total_steps=1_000_000)
        with limbeck.Teacher(self.teacher, plan.teacher_sites) as source:
            fit_targets(distiller, source, [limbeck.Batch(*batch) for batch in self.batches])
        return distiller


class Hooks:
    """What modules put out in the last forward, as anyone would write it."""

    def __init__(self, model: nn.Module, names: list[str]) -> None:
        self.seen: dict[str, Tensor] = {}
        self._handles = [model.get_submodule(name).register_forward_hook(self._keep(name)) for name in set(names)]

    def _keep(self, name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(_module: nn.Module, _args: Any, output: Any) -> None:
            self.seen[name] = output[0] if isinstance(output, tuple) else output

        return hook

    def close(self) -> None:
        for handle in self._handles:
            handle.remove()


def _statistics(features: Tensor, channel: int) -> tuple[Tensor, Tensor]:
    axes = [axis for axis in range(features.ndim) if axis != channel % features.ndim]
    deviation = features.std(axes, keepdim=True, correction=0)
    return features.mean(axes, keepdim=True), deviation.clamp_min(1e-3 * deviation.square().mean().sqrt())
