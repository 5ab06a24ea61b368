"""The learning rate that a student's own loss asks for, from the first step that its optimizer would make."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence

import torch
from accelerate import Accelerator
from torch import Tensor

from limbeck.balancers import Fixed
from limbeck.balancers.family import OUTPUT
from limbeck.batch import Batch
from limbeck.distiller.distiller import Distiller
from limbeck.outputs import OutputLoss
from limbeck.planning.few_samples import Once
from limbeck.randomness import own_randomness, seed_all
from limbeck.recipe.settings import Settings
from limbeck.teachers.feature_source import FeatureSource
from limbeck.training.optimizers import make_optimizer
from limbeck.training.surroundings import into_training

# Two say it as well as four do.
BATCHES = 2
# Rates are tried from far too low to far too high, at first in fours, then between.
_LEAST, _MOST, _COARSE = 1e-6, 4.0, 4.0
_FINE = (2.0, 2.0**0.5)


def first_step_rate(
    distiller: Distiller,
    source: FeatureSource | None,
    batches: Sequence[Batch],
    *,
    settings: Settings,
    accelerator: Accelerator,
) -> float | None:
    """The rate at which the optimizer's first step lowers the loss most, to two digits.

    The optimizer is asked where it would go from the gradient of two batches, and their loss is followed in that
    direction until it rises. Wide layers, large inputs and trained weights ask for small rates, and show it there.
    Where there are features it is done for the output losses alone too, and the rate is the geometric mean of both:
    projectors that nothing has taught yet make a first step look more dangerous than it is, and outputs alone less.
    For students whose weights were learnt before: what they know is lost where the loss rises. Of an untrained student
    the first step says little: in 25 cells of ``benchmarks/rates`` it was within a factor of two of the best in 12,
    of four in 18, and cost 1.5 points of accuracy on the mean (:func:`~limbeck.search.width_rate` knows better there).

    The rule is ours. It costs one backward and about twelve forwards of the student on each batch, twice where there
    are features, and one forward of the teacher.

    Args:
        distiller: a copy of it is moved, itself it is not touched.
        source: gives the teacher's side; ``None`` if no loss needs it.
        batches: the first two that are large enough are used.
        settings: of the training: optimizer, weight decay and seed.
        accelerator: of the training; all of its processes get the same rate.

    Returns:
        ``None`` if no step lowers the loss, as where it is not finite.

    Example:
        >>> from torch import nn
        >>> from limbeck.outputs import CrossEntropy
        >>> rates = {}
        >>> for width in (16, 1024):
        ...     seed_all(0)
        ...     student = nn.Sequential(nn.Linear(8, width), nn.ReLU(), nn.Linear(width, 2))
        ...     distiller = Distiller(student, outputs=[CrossEntropy()], balancer=Fixed(["output"], output=1.0))
        ...     x = torch.randn(64, 8)
        ...     batch = Batch(x, (x[:, 0] > 0).long())
        ...     rates[width] = first_step_rate(distiller, None, [batch], settings=Settings(), accelerator=Accelerator())
        >>> rates[16] > 5 * rates[1024]  # each step moves the answers of a wide layer further
        True
    """
    known = [each for each in batches if each.size >= distiller.minimum_batch][:BATCHES]
    if not known:
        return None
    moved = copy.deepcopy(distiller).to(accelerator.device)
    try:
        teacher = Once(source, known) if source is not None and moved.needs_teacher else None
        into_training(moved)
        best = _Line(moved, known, teacher, settings, accelerator).lowest()
        alone = _outputs_alone(moved)
    finally:
        moved.close()
    if alone is not None:
        best = (best * _Line(alone, known, teacher, settings, accelerator).lowest()) ** 0.5
        alone.close()
    everywhere = accelerator.gather(torch.tensor([best], device=accelerator.device))
    found = float(torch.as_tensor(everywhere).mean())
    return float(f"{found:.2g}") if found > 0 else None


def _outputs_alone(distiller: Distiller) -> Distiller | None:
    """The same student with nothing but its output losses; ``None`` where that is the same, or nothing."""
    if not len(distiller.terms) or not distiller.trains_answers:
        return None
    shares = distiller.balancer.shares[len(distiller.terms) :].tolist()
    return Distiller(
        distiller.student,
        outputs=[each for each in distiller.outputs if isinstance(each, OutputLoss)],
        balancer=Fixed([OUTPUT] * len(shares), shares=shares, output=1.0).to(distiller.balancer.shares.device),
        read_output=distiller.read_output,
        next_token=distiller.next_token,
    )


class _Line:
    """The loss on a few batches, along the direction of the optimizer's first step."""

    def __init__(
        self,
        distiller: Distiller,
        batches: Sequence[Batch],
        teacher: Callable[[Batch], object] | None,
        settings: Settings,
        accelerator: Accelerator,
    ) -> None:
        self._distiller, self._batches, self._teacher = distiller, batches, teacher
        self._seed, self._accelerator = settings.seed, accelerator
        self._parameters = [each for each in distiller.parameters() if each.requires_grad]
        self._at, self._known = 0.0, dict[float, float]()
        self._direction = self._first_step(settings)

    def lowest(self) -> float:
        """Where the loss is lowest; 0 where it only rises, or is not finite. Nothing is moved in the end."""
        start = best = 0.0
        rate = _LEAST
        # Once the loss has doubled, nothing further away is worth a look.
        while rate <= _MOST and self.loss(rate) <= self.loss(start) + abs(self.loss(start)):
            best = min(best, rate, key=self.loss)
            rate *= _COARSE
        for factor in _FINE:
            best = min((best, best / factor, best * factor), key=self.loss)
        self._move(start)
        return best

    @torch.no_grad()
    def loss(self, rate: float) -> float:
        """Mean over the batches after a step of that rate."""
        if rate not in self._known:
            self._move(rate)
            mean = sum(float(self._loss(each)) for each in self._batches) / len(self._batches)
            self._known[rate] = mean if math.isfinite(mean) else math.inf
        return self._known[rate]

    @torch.no_grad()
    def _move(self, rate: float) -> None:
        for parameter, move in zip(self._parameters, self._direction, strict=True):
            parameter.add_(move, alpha=rate - self._at)
        self._at = rate

    def _loss(self, batch: Batch) -> Tensor:
        with own_randomness(), self._accelerator.autocast():
            seed_all(self._seed)  # what is dropped at random is the same at every rate
            return self._distiller(batch, None if self._teacher is None else self._teacher(batch)).loss

    def _first_step(self, settings: Settings) -> list[Tensor]:
        """How far each parameter moves at a rate of 1."""
        optimizer = make_optimizer(self._distiller, settings, 1.0)
        for batch in self._batches:
            self._loss(batch).backward()
        before = [each.detach().clone() for each in self._parameters]
        optimizer.step()
        with torch.no_grad():
            moves = [each - start for each, start in zip(self._parameters, before, strict=True)]
            for each, start in zip(self._parameters, before, strict=True):
                each.copy_(start)
        optimizer.zero_grad()
        return moves
