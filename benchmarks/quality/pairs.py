"""The pairs of teacher and student, those for designing apart from those that check the design."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from benchmarks.quality.batches import Augment, flipped, shifted
from benchmarks.quality.networks import (
    Bag,
    MiniLM,
    PatchTransformer,
    Perceptron,
    Plain,
    Recurrent,
    ResNet,
    TextRecurrent,
    TextTransformer,
)  # fmt: skip
from torch import nn


@dataclass(frozen=True)
class TeacherTraining:
    """How a teacher is trained.

    Attributes:
        build: makes the network.
        steps: optimizer steps.
        rate: highest learning rate.
        samples: how many of the pool it sees; those of the student if not given.
        batch: samples of a step.
    """

    build: Callable[[], nn.Module]
    steps: int
    rate: float
    samples: int | None = None
    batch: int = 64


@dataclass(frozen=True)
class Pair:
    """A teacher, a student and the student's data.

    Attributes:
        name: in tables.
        data: name of the data set.
        check: whether the pair is only looked at when the design is frozen.
        family: whether both are of one family.
        teacher: how it is trained.
        student: builds the student; its argument scales the width.
        samples: labels that the student has, a fifth of them to select with.
        steps: of one plain run.
        batch: samples of a step.
        seconds: what a plain run takes about, with a teacher that is not run.
        augment: changes inputs at random.
        labels: ``False`` if the student sees none and is judged by a linear probe.
        role: ``main``, or ``labels`` for those that only say how the gain depends on the number of labels.
    """

    name: str
    data: str
    check: bool
    family: bool
    teacher: TeacherTraining
    student: Callable[[float], nn.Module]
    samples: int
    steps: int
    batch: int
    seconds: float
    augment: Augment | None = None
    labels: bool = True
    role: Literal["main", "labels"] = "main"

    @property
    def own_data(self) -> bool:
        """Whether the teacher saw nothing but the student's data, without pre-training."""
        seen = self.teacher.samples
        return (seen is None or seen <= self.samples) and self.data not in {"reviews", "glosses"}

    @property
    def teacher_name(self) -> str:
        """Teachers that are trained alike are trained once."""
        trained = self.teacher
        seen, kind = trained.samples or self.samples, trained.build.__name__
        return f"{self.data}-{kind}-{seen}-{trained.steps}{'-augmented' if self.augment else ''}"


def _wide(width: int, scale: float, multiple: int = 1) -> int:
    return max(multiple, round(width * scale / multiple) * multiple)


def _series_resnet() -> nn.Module:
    return ResNet(1, width=32, blocks=2)


def _image_resnet() -> nn.Module:
    return ResNet(2, width=16, blocks=2)


def _digit_resnet() -> nn.Module:
    return ResNet(2, width=32, blocks=1)


def _review_mini_lm() -> nn.Module:
    return MiniLM(classes=2)


def _gloss_mini_lm() -> nn.Module:
    return MiniLM(classes=45)


_SERIES = TeacherTraining(_series_resnet, steps=1500, rate=3e-3)
_MORE_SERIES = replace(_SERIES, samples=16_000, steps=3000)
_WEAK_SERIES = replace(_SERIES, samples=500, steps=60)
_ANIMALS = TeacherTraining(_image_resnet, steps=700, rate=3e-3)
_MORE_ANIMALS = replace(_ANIMALS, samples=7_500, steps=1500)
_DIGITS = TeacherTraining(_digit_resnet, steps=400, rate=3e-3)
_MORE_DIGITS = replace(_DIGITS, samples=1_197)
_REVIEWS = TeacherTraining(_review_mini_lm, steps=500, rate=1e-4, batch=32)
_GLOSSES = TeacherTraining(_gloss_mini_lm, steps=3000, rate=1e-4, batch=32, samples=90_000)


def _gloss_transformer(scale: float) -> nn.Module:
    return TextTransformer(width=_wide(64, scale, 16), layers=2, classes=45)


def _glosses(name: str, samples: int, *, check: bool = False, role: Literal["main", "labels"] = "labels") -> Pair:
    return Pair(
        name, "glosses", check, True, _GLOSSES, _gloss_transformer, samples, 800, 64, 15.0, role=role,
    )  # fmt: skip


def pairs() -> tuple[Pair, ...]:
    """All pairs, development pairs first."""
    return (
        Pair("series-cnn", "series", False, True, _SERIES, lambda s: Plain(1, width=_wide(12, s)),
             4_000, 800, 100, 4.0),
        Pair("series-gru", "series", False, False, _MORE_SERIES, lambda s: Recurrent(width=_wide(32, s)),
             4_000, 800, 100, 8.0),
        Pair("series-mlp", "series", False, False, _SERIES, lambda s: Perceptron(40, width=_wide(64, s), layers=3),
             4_000, 800, 100, 2.5),
        Pair("series-deep", "series", False, True, _SERIES, lambda s: ResNet(1, width=_wide(6, s), blocks=3),
             4_000, 600, 100, 12.0),
        Pair("animals-cnn", "animals", False, True, _ANIMALS, lambda s: Plain(2, width=_wide(8, s)),
             2_000, 400, 64, 4.0),
        Pair("animals-mlp", "animals", False, False, _ANIMALS, lambda s: Perceptron(784, width=_wide(48, s), layers=3),
             2_000, 600, 64, 2.5),
        Pair("animals-cnn-augmented", "animals", False, True, _ANIMALS, lambda s: Plain(2, width=_wide(8, s)),
             2_000, 600, 64, 12.0, augment=flipped),
        Pair("digits-mlp", "digits", False, False, _MORE_DIGITS, lambda s: Perceptron(64, width=_wide(32, s), layers=2),
             200, 400, 32, 1.5),
        Pair("digits-cnn", "digits", False, True, _DIGITS, lambda s: Plain(2, width=_wide(8, s)),
             600, 400, 32, 2.0),
        Pair("reviews-bag", "reviews", False, False, _REVIEWS, lambda s: Bag(width=_wide(64, s), classes=2),
             6_530, 600, 64, 8.0),
        Pair("glosses-gru", "glosses", False, False, _GLOSSES,
             lambda s: TextRecurrent(width=_wide(64, s), classes=45), 10_000, 800, 64, 15.0),
        replace(_glosses("glosses-unlabelled", 10_000, role="main"), labels=False),
        Pair("series-transformer", "series", True, False, _SERIES,
             lambda s: PatchTransformer(1, width=_wide(32, s, 16), layers=3, patch=4), 4_000, 800, 100, 12.0),
        Pair("series-cnn-weak", "series", True, True, _WEAK_SERIES, lambda s: Plain(1, width=_wide(12, s)),
             1_000, 600, 50, 3.0),
        Pair("series-cnn-augmented", "series", True, True, _SERIES, lambda s: Plain(1, width=_wide(12, s)),
             4_000, 800, 100, 12.0, augment=shifted),
        Pair("animals-vit", "animals", True, False, _MORE_ANIMALS,
             lambda s: PatchTransformer(2, width=_wide(32, s, 16), layers=3, patch=7), 2_000, 600, 64, 10.0),
        Pair("reviews-transformer", "reviews", True, True, _REVIEWS,
             lambda s: TextTransformer(width=_wide(64, s, 16), layers=2, classes=2), 6_530, 600, 64, 12.0),
        _glosses("glosses-transformer", 10_000, check=True, role="main"),
        *(_glosses(f"glosses-{count}-labels", count) for count in (500, 2_000, 30_000, 94_000)),
    )  # fmt: skip


def named(names: Sequence[str]) -> tuple[Pair, ...]:
    """The pairs of these names, in their own order."""
    return tuple(pair for pair in pairs() if pair.name in names)
