"""In what form a teacher's answers are stored: all logits, or the most probable classes of each answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool
from torch import Tensor

from limbeck._math.answers import class_axis
from limbeck._math.top_answers import top_answers
from limbeck.cache.class_numbers import numbers_of
from limbeck.cache.exactness import Exactness, ExactnessMeter
from limbeck.cache.top_exactness import TopExactness, TopMeter
from limbeck.context import TopAnswers

# No site's folder begins so.
LOGITS = "+logits"


class Stored(NamedTuple):
    """How a field is stored: shape of a sample's values, and encoding."""

    shape: tuple[int, ...]
    encoding: str


@runtime_checkable
class AnswerMeter(Protocol):
    """Measures over batches of answers, none of which is kept."""

    def add(self, logits: Tensor, back: Any, mask: Bool[Tensor, "B N"] | None, /) -> None:
        """Take in logits and what comes back of them; ``mask`` is ``False`` at padding."""
        ...

    @property
    def found(self) -> Mapping[str, Exactness | TopExactness]:
        """What was lost, by the field that it is written down with."""
        ...


@runtime_checkable
class AnswerForm(Protocol):
    """In what form answers are stored."""

    @property
    def fields(self) -> Mapping[str, Stored]:
        """The fields, by name."""
        ...

    def of(self, logits: Tensor, /) -> dict[str, Tensor]:
        """The values of each field."""
        ...

    def answers(self, values: Mapping[str, Tensor], /) -> Tensor | TopAnswers:
        """The answers again, as losses read them."""
        ...

    def meter(self) -> AnswerMeter:
        """A new measure of what is lost of the answers."""
        ...

    def apart(
        self, own: Mapping[str, Tensor], stored: Mapping[str, Tensor], /, *, rounding: float = 0.0
    ) -> dict[str, float]:
        """How far what is said now is from what is stored, by what was compared; 0 where rounding explains it."""
        ...


class WholeAnswers:
    """All logits, exactly.

    Args:
        shape: of a sample's logits.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.fields = {LOGITS: Stored(shape, "float32")}

    def of(self, logits: Tensor, /) -> dict[str, Tensor]:
        """The logits."""
        return {LOGITS: logits.float()}

    def answers(self, values: Mapping[str, Tensor], /) -> Tensor:
        """The logits."""
        return values[LOGITS]

    def meter(self) -> WholeMeter:
        """A new one."""
        return WholeMeter(self.fields[LOGITS].shape[-1])

    def apart(
        self, own: Mapping[str, Tensor], stored: Mapping[str, Tensor], /, *, rounding: float = 0.0
    ) -> dict[str, float]:
        """Of the logits."""
        return {LOGITS: apart(own[LOGITS], stored[LOGITS], rounding)}


class MostProbable:
    """The most probable classes of each answer: their log-probabilities, their numbers, and what all others have.

    The others' sum is kept for each temperature by itself, as it does not follow from that at another one. Each is a
    field of its own, so that a cache can be told of another temperature later.

    Args:
        shape: of a sample's logits.
        kept: how many classes, fewer than there are.
        temperatures: for which the others' sum is kept.

    Example:
        >>> form = MostProbable((5, 32000), 2, [1.0])
        >>> for name, stored in form.fields.items():
        ...     print(name, stored.shape, stored.encoding)
        +logits+top2+values (5, 2) float16
        +logits+top2+classes (5, 2) uint16
        +logits+top2+rest+1.0 (5, 1) float32
    """

    def __init__(self, shape: tuple[int, ...], kept: int, temperatures: Sequence[float]) -> None:
        # The batch axis, which is not among them, says where the classes are.
        axis = class_axis(torch.empty(0, *shape, device="meta")) % (len(shape) + 1) - 1
        self.kept, self.classes = kept, shape[axis]
        answers = (*shape[:axis], *shape[axis + 1 :])
        top = f"{LOGITS}+top{kept}"
        self._values, self._numbers = f"{top}+values", f"{top}+classes"
        self.rests = {each: f"{top}+rest+{each}" for each in map(float, temperatures)}
        self.fields = {
            self._values: Stored((*answers, kept), "float16"),
            self._numbers: Stored((*answers, kept), numbers_of(self.classes)),
            **{name: Stored((*answers, 1), "float32") for name in self.rests.values()},
        }

    def of(self, logits: Tensor, /) -> dict[str, Tensor]:
        """The values of each field; no copy of all logits is made."""
        top = top_answers(logits, self.kept, list(self.rests))
        rests = {self.rests[each]: rest.float().unsqueeze(-1) for each, rest in top.rest.items()}
        return {self._values: top.log_probabilities.float(), self._numbers: top.indices, **rests}

    def answers(self, values: Mapping[str, Tensor], /) -> TopAnswers:
        """The most probable classes."""
        rest = {each: values[name].squeeze(-1) for each, name in self.rests.items()}
        return TopAnswers(values[self._values], values[self._numbers].long(), rest, self.classes)

    def meter(self) -> TopMeter:
        """A new one."""
        return TopMeter(self.rests)

    def apart(
        self, own: Mapping[str, Tensor], stored: Mapping[str, Tensor], /, *, rounding: float = 0.0
    ) -> dict[str, float]:
        """Of all but the class numbers, whose order rounding may change; of these, the probability of other ones."""
        found = {name: apart(own[name], stored[name], rounding) for name in (self._values, *self.rests.values())}
        return {**found, self._numbers: self._exchanged(own, stored, rounding)}

    def _exchanged(self, own: Mapping[str, Tensor], stored: Mapping[str, Tensor], rounding: float) -> float:
        """Mean probability of those of the classes said now that are not stored, and that rounding did not bring in."""
        mine, theirs = self.answers(own), stored[self._numbers].long().sort(-1).values
        place = torch.searchsorted(theirs, mine.indices).clamp_max(self.kept - 1)
        missing = theirs.gather(-1, place) != mine.indices
        if rounding > 0:
            # A class that was not kept had no more than the last one that was, nor than all others together.
            kept = stored[self._values].double()
            others = torch.log1p(-kept.exp().sum(-1, keepdim=True).clamp_max(1 - 1e-6))
            missing &= mine.log_probabilities > kept.amin(-1, keepdim=True).minimum(others) + rounding
        return float((mine.log_probabilities.exp() * missing).sum(-1).mean())


class WholeMeter:
    """Measures what comes back of all logits.

    Args:
        classes: length of their last axis.
    """

    def __init__(self, classes: int) -> None:
        self._meter = ExactnessMeter(classes)

    def add(self, logits: Tensor, back: Tensor, _mask: Bool[Tensor, "B N"] | None, /) -> None:
        """Take in logits and what comes back of them."""
        self._meter.add(logits.flatten(0, -2), back.flatten(0, -2))

    @property
    def found(self) -> dict[str, Exactness | TopExactness]:
        """Over all that was taken in."""
        return {LOGITS: self._meter.found}


def apart(own: Tensor, kept: Tensor, rounding: float = 0.0) -> float:
    """Mean difference of values of some samples, as a share of how far the samples are from their mean.

    Args:
        own: the values ``[B, ...]``.
        kept: what they are to be.
        rounding: what is taken off each difference.
    """
    own, kept = own.double(), kept.double()
    spread = (own - own.mean(0)).abs().mean().maximum(1e-3 * own.abs().mean())
    return float(((own - kept).abs() - rounding).clamp_min(0.0).mean() / spread.clamp_min(1e-12))
