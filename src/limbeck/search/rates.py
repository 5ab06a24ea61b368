"""The learning rate, by short runs over a wide fixed grid."""

from __future__ import annotations

import copy
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from accelerate import Accelerator

from limbeck.batch import Adapt
from limbeck.choice import Choice
from limbeck.distiller.distiller import Distiller
from limbeck.recipe.settings import Settings
from limbeck.search.spending import LONGEST
from limbeck.teachers.feature_source import FeatureSource
from limbeck.training.accelerating import twin
from limbeck.training.candidate import Candidate
from limbeck.training.divergence import Diverged
from limbeck.training.evaluation import Evaluation
from limbeck.training.interrupt import Interrupted
from limbeck.training.length import Length
from limbeck.training.metrics import Metric
from limbeck.training.side_by_side import SideBySide

GRID = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1)
DEFAULT_RATE = 1e-3
# What the copies of student, projectors and optimizer that are trained at once may take: our choice.
_MOST_BYTES = 2**31
OWN_RATES = Choice(
    "learning rate",
    "the optimizer's own",
    "your optimizer comes with its rates, which warm-up and decay multiply; give lr= for another one",
)


@dataclass(frozen=True)
class RateSearch:
    """Tries every rate of a grid on copies of the student and keeps the one that is best on validation.

    The rate decides more than the recipe, and the best one for a recipe is often not the student's own (our prototype:
    47 of 134 cells share it; feature recipes peak at up to 16 times it). The grid is half-decades from 1e-4 to 0.3
    (our choice); each run has the whole schedule of a training, shortened, and is judged at its end. All runs go on
    side by side, so that the whole grid costs one forward of the teacher and one read of the data for each batch.

    Attributes:
        settings: of the training; the rate is left out.
        length: of the training that the rate is for.
        budget: what the search may cost together with the training, in trainings; ``None`` to not search.
        grid: the rates.
        share: length of a short run in trainings; what the budget allows, at most a quarter, if not given.
    """

    settings: Settings
    length: Length
    budget: float | None = 3.0
    grid: Sequence[float] = GRID
    share: float | None = None

    @property
    def short(self) -> Length:
        """Length of one short run."""
        share = self.share
        if share is None:
            share = min(LONGEST, max(0.0, (self.budget or 1.0) - 1) / len(self.grid))
        steps = max(1, min(self.length.steps, max(20, math.ceil(self.length.steps * share))))
        return replace(self.length, steps=steps, every=steps, patience=None)

    def __call__(
        self,
        distiller: Distiller,
        source: FeatureSource | None,
        train: Iterable[Any],
        validation: Iterable[Any] | None,
        *,
        metric: Metric | None,
        adapt: Adapt,
        accelerator: Accelerator,
        show: bool = True,
    ) -> tuple[float, Choice]:
        """The best rate and the decision; the distiller is not touched.

        Without validation data, or without a budget, it is 1e-3 (AdamW's default).

        Raises:
            Diverged: if no rate gives a finite loss.
            Interrupted: on Ctrl-C; nothing is trained or saved then.
        """
        if self.budget is None or validation is None:
            reason = "no validation data to search with" if validation is None else "the search was switched off"
            return DEFAULT_RATE, Choice("learning rate", DEFAULT_RATE, reason)
        options: dict[str, Any] = {"metric": metric, "adapt": adapt, "label": "Learning rate" if show else None}
        found: dict[float, Evaluation | None] = {}
        for rates in self._groups(distiller, accelerator):
            found |= self._tried(rates, distiller, source, train, validation, accelerator=accelerator, **options)
        return self._chosen(found)

    def _groups(self, distiller: Distiller, accelerator: Accelerator) -> list[Sequence[float]]:
        """The rates that are tried at once: as many as fit into memory, in several processes one."""
        # Parameters and gradients, two moments of each, and the best weights.
        copy_bytes = 5 * sum(each.numel() * each.element_size() for each in distiller.parameters())
        size = max(1, _MOST_BYTES // max(1, copy_bytes)) if accelerator.num_processes == 1 else 1
        return [self.grid[start : start + size] for start in range(0, len(self.grid), size)]

    def _tried(
        self,
        rates: Sequence[float],
        distiller: Distiller,
        source: FeatureSource | None,
        train: Iterable[Any],
        validation: Iterable[Any],
        *,
        accelerator: Accelerator,
        **options: Any,
    ) -> dict[float, Evaluation | None]:
        """What short runs at some rates, side by side, come to; ``None`` for one that diverges."""
        given: dict[str, Any] = {"settings": self.settings, "length": self.short, **options}
        trials = [copy.deepcopy(distiller) for _ in rates]
        accelerators = [accelerator, *(twin(accelerator) for _ in rates[1:])]
        for trial in trials:
            trial.total_steps = self.short.steps
        try:
            candidates = [
                Candidate(trial, source, lr=rate, accelerator=own, **given)
                for trial, rate, own in zip(trials, rates, accelerators, strict=True)
            ]
            outcomes = SideBySide(candidates).fit(train, validation)
        except KeyboardInterrupt:
            raise Interrupted("Stopped while the learning rate was searched; the student is not trained yet.") from None
        finally:
            # What a trial left with accelerate must not be in the training's checkpoints.
            accelerator.free_memory()
            for trial in trials:
                trial.close()
        return {
            rate: None if outcome.diverged is not None else outcome.evaluation
            for rate, outcome in zip(rates, outcomes, strict=True)
        }

    def _chosen(self, found: Mapping[float, Evaluation | None]) -> tuple[float, Choice]:
        best = _best(found)
        if best is None:
            raise Diverged(
                f"No learning rate of {list(self.grid)} gives a finite loss. Check the inputs and the weights of the "
                "student, or give lr=."
            )
        edge = " (at the edge of the grid)" if best in {self.grid[0], self.grid[-1]} else ""
        reason = (
            f"best on validation of {len(self.grid)} runs of {self.short.steps} steps, neighbours counted too{edge}"
        )
        numbers = {f"{rate:g}": None if each is None else round(each.metric, 4) for rate, each in found.items()}
        return best, Choice("learning rate", best, reason, numbers)


def _best(found: Mapping[float, Evaluation | None]) -> float | None:
    """The rate whose score, half its own and a quarter each of its neighbours', is the highest.

    A single score of a small validation set is half luck, and the highest one is often the last before training
    breaks down. Below the median all scores count alike: how badly a far too high rate fails says nothing. Chosen for
    the worst case, not for the mean: in 22 cells of ``benchmarks/rates`` it costs 0.6 points of accuracy on average and
    3.3 at worst, the highest single score 0.4 and 3.7; in 26 cells before, by which the weights were chosen, 0.3 and
    2.3 against 1.0 and 12.6.
    """
    scores = {rate: each for rate, each in sorted(found.items()) if each is not None and each.better_than(None)}
    if not scores:
        return None
    usual = statistics.median_low(each.metric for each in scores.values())
    heights = [max(usual, scores[rate].metric) if rate in scores else usual for rate in sorted(found)]
    padded = [heights[0], *heights, heights[-1]]
    smooth = {
        rate: (left + 2 * own + right) / 4
        for rate, left, own, right in zip(sorted(found), padded, padded[1:], padded[2:], strict=False)
    }
    return max(scores, key=lambda rate: (smooth[rate], scores[rate].metric, -scores[rate].loss))
