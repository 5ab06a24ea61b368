"""Recipes that train side by side; the default stays the choice unless another one is probably better."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from accelerate import Accelerator
from torch import Tensor

from limbeck.batch import Adapt
from limbeck.choice import Choice
from limbeck.distiller.distiller import Distiller
from limbeck.planning.plan import Plan
from limbeck.search.gain import PRIORS, SURE, chance_of_gain
from limbeck.search.rates import same_at_other_rates
from limbeck.teachers.feature_source import FeatureSource
from limbeck.training.accelerating import twin
from limbeck.training.candidate import Candidate
from limbeck.training.checkpoint import Checkpoint
from limbeck.training.evaluation import Evaluation, Judge, evaluate
from limbeck.training.history import History
from limbeck.training.length import Length
from limbeck.training.loaders import lent
from limbeck.training.metrics import METRICS, Metric
from limbeck.training.optimizers import MakeOptimizer
from limbeck.training.side_by_side import Outcome, SideBySide

# In these a prior is known, which is one of accuracy.
_COUNTED = [METRICS["accuracy"], METRICS["label_accuracy"]]


@dataclass(frozen=True)
class Entrant:
    """A recipe that takes part.

    Attributes:
        plan: with its learning rate; ``None`` as a rate for those that the optimizer comes with.
        distiller: holds a student of its own.
        history: rows are added to it.
        checkpoint: where its state is kept while it trains.
    """

    plan: Plan
    distiller: Distiller
    history: History
    checkpoint: Path | None = None

    @property
    def name(self) -> str:
        """The recipe's."""
        return self.plan.recipe.name


class Standing(NamedTuple):
    """Where an entrant stood at the end.

    Attributes:
        name: of the recipe, which says so if it is the default at another rate.
        evaluation: its best look at validation; ``None`` if its loss became infinite or NaN, or without validation.
        rate: its highest learning rate.
        chance: how probable it is that it is better than the default at its best rate; ``None`` for the default itself.
    """

    name: str
    evaluation: Evaluation | None
    rate: float | str | None
    chance: float | None = None


class Result(NamedTuple):
    """What came of a race.

    Attributes:
        winner: whose student is the result.
        evaluation: the winner's.
        standings: of all, the default's first.
        choices: which rate, which recipe, and why; nothing where there was only one.
    """

    winner: Entrant
    evaluation: Evaluation | None
    standings: tuple[Standing, ...]
    choices: tuple[Choice, ...]


@dataclass(frozen=True)
class Race:
    """Trains all entrants to the end on the same batches, with one forward of the teacher for all, and names a winner.

    The winner is the result and is not trained again. Of the default, which is the first and may take part at several
    rates, the one that validates best leads. It is only left for a rival that is better with a probability of 0.9, from
    the answers to the validation data, the noise between seeds and what is known of such rivals
    (:func:`~limbeck.search.gain.chance_of_gain`). One entrant alone is trained and wins.

    Attributes:
        entrants: the default first, then the same at other rates, then its rivals.
        source: gives the teacher's side to all.
        length: of each training.
        metric: what validation measures.
        adapt: turns what a loader yields into a batch.
        accelerator: of the default; the others get twins of it.
        optimizer: the user's own, in place of the settings' one.
        label: of the progress bar; ``None`` for none.
    """

    entrants: Sequence[Entrant]
    source: FeatureSource
    length: Length
    metric: Metric | None
    adapt: Adapt
    accelerator: Accelerator
    optimizer: MakeOptimizer | None = None
    label: str | None = None

    def run(self, train: Iterable[Any], validation: Iterable[Any] | None, *, resume: bool = False) -> Result:
        """Train and decide.

        Raises:
            Diverged: if the default's loss is not finite, and no rival's is.
            Interrupted: on Ctrl-C, after the states are saved.
            DataError: if the inputs are not finite, or no batch is large enough for the losses.
        """
        accelerators = [self.accelerator, *(twin(self.accelerator) for _ in self.entrants[1:])]
        candidates = [self._candidate(*each) for each in zip(self.entrants, accelerators, strict=True)]
        outcomes = SideBySide(candidates).fit(train, validation, resume=resume)
        if all(each.diverged is not None for each in outcomes):
            raise next(each.diverged for each in outcomes if each.diverged is not None)
        own = len(same_at_other_rates([each.plan for each in self.entrants], self.entrants[0].plan))
        lead = _best(outcomes[:own])
        chances: list[float | None] = [None] * len(outcomes)
        if len(outcomes) > own and self.metric is not None and validation is not None:
            chances[own:] = self._chances(lead, own, outcomes, validation, self.metric)
        standings = tuple(
            Standing(entrant.name, None if outcome.diverged else outcome.evaluation, entrant.plan.training.lr, chance)
            for entrant, outcome, chance in zip(self.entrants, outcomes, chances, strict=True)
        )
        place, reason = _decided(chances, lead, led=outcomes[lead].diverged is None)
        choices: list[Choice] = []
        if own > 1 and place == lead:
            choices.append(self._best_rate(standings[:own], lead))
        if len(outcomes) > own:
            found = {each.name: _number(each) for each in standings}
            choices.append(Choice("recipe", self.entrants[place].name, reason, found))
        return Result(self.entrants[place], outcomes[place].evaluation, standings, tuple(choices))

    def _best_rate(self, standings: Sequence[Standing], lead: int) -> Choice:
        known = self.entrants[0].plan.choice("learning rate")
        rule = "" if known is None else f"; the rule says {known.value}: {known.reason}"
        numbers = {str(each.rate): _number(each) for each in standings}
        reason = f"best on validation of {len(standings)} whole trainings side by side{rule}"
        return Choice("learning rate", standings[lead].rate, reason, numbers)

    def remove_checkpoints(self) -> None:
        """Delete the states of the trainings, once the result is kept."""
        for entrant in self.entrants:
            if entrant.checkpoint is not None:
                Checkpoint(entrant.checkpoint, self.accelerator).remove()

    def _candidate(self, entrant: Entrant, accelerator: Accelerator) -> Candidate:
        rate = entrant.plan.training.lr
        return Candidate(
            entrant.distiller,
            self.source,
            settings=entrant.plan.training,
            lr=None if rate == "auto" else float(rate),
            length=self.length,
            metric=self.metric,
            adapt=self.adapt,
            optimizer=self.optimizer,
            accelerator=accelerator,
            checkpoint=entrant.checkpoint,
            history=entrant.history,
            label=self.label,
        )

    def _chances(
        self, lead: int, own: int, outcomes: Sequence[Outcome], validation: Iterable[Any], metric: Metric
    ) -> list[float | None]:
        """How probable it is of each rival that it is better than the default; of what did not finish not at all."""
        rivals = self.entrants[own:]
        finished = [each.diverged is None for each in outcomes]
        if not finished[lead]:
            return [1.0 if there else 0.0 for there in finished[own:]]
        known = metric in _COUNTED
        noise: dict[str, float] = {} if known else {"seeds": 0.0}
        judged = [self.entrants[lead], *rivals]
        scores = [_Recorded(metric) for _ in judged]
        judges = [
            Judge(entrant.distiller, self.source, each, self.accelerator)
            for entrant, each in zip(judged, scores, strict=True)
        ]
        with lent(validation) as mine:
            evaluate(judges, mine, adapt=self.adapt, seed=self.entrants[0].plan.training.seed)
        chances: list[float | None] = []
        for entrant, score, there in zip(rivals, scores[1:], finished[own:], strict=True):
            prior = PRIORS.get(entrant.name) if known else None
            chances.append(chance_of_gain(score.all - scores[0].all, prior, **noise) if there else 0.0)
        return chances


class _Recorded:
    """A metric that keeps the score of every answer."""

    def __init__(self, metric: Metric) -> None:
        self._metric, self._kept = metric, list[Tensor]()

    def __call__(self, logits: Tensor, targets: Any) -> Tensor:
        scores = self._metric(logits, targets)
        self._kept.append(scores.detach().cpu().double().flatten())
        return scores

    @property
    def all(self) -> Tensor:
        """The scores of all answers, in their order."""
        return torch.cat(self._kept)


def _best(outcomes: Sequence[Outcome]) -> int:
    """The place of the one that validates best, of equals the first; where none validates the first that finished."""
    finished = [place for place, each in enumerate(outcomes) if each.diverged is None]
    lead, best = next(iter(finished), 0), None
    for place in finished:
        found = outcomes[place].evaluation
        if found is not None and found.better_than(best):
            lead, best = place, found
    return lead


def _decided(chances: Sequence[float | None], lead: int, *, led: bool) -> tuple[int, str]:
    """The winner's place and why."""
    rivals = [place for place, chance in enumerate(chances) if chance is not None]
    if not rivals:
        return lead, ""
    best = max(rivals, key=lambda place: chances[place] or 0.0)
    chance = chances[best] or 0.0
    if not led:
        return best, "the default's loss became infinite or NaN"
    if chance > SURE:
        return best, f"better than the default with probability {chance:.2f}, and {SURE} is needed to leave it"
    return lead, f"no other is better with a probability above {SURE}: the likeliest has {chance:.2f}"


def _number(standing: Standing) -> float | None:
    return None if standing.evaluation is None else round(standing.evaluation.metric, 4)
