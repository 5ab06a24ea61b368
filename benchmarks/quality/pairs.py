"""The pairs of teacher and student, those for designing apart from those that check the design."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from typing import Any, Literal

from benchmarks.quality.batches import Augment, flipped, shifted
from benchmarks.quality.networks import (
    Bag,
    MiniLM,
    PatchTransformer,
    Perceptron,
    Plain,
    Recurrent,
    ResNet,
    TextTransformer,
)  # fmt: skip
from torch import nn

from limbeck.recipe.settings import Settings

# Looked at once, when the design is frozen; all others are for designing. No test accuracy of these was read while the
# benchmark was written. `digits` is for designing only. The pairs that differ in the number of labels share teacher and
# student with `glosses-transformer`, so they are looked at with it.
LABEL_COUNTS = (500, 2_000, 10_000, 94_000)
CHECK = frozenset(
    {"series-transformer", "series-cnn-weak", "series-cnn-augmented", "animals-vit", "reviews-transformer",
     "glosses-transformer", *(f"glosses-{count}-labels" for count in LABEL_COUNTS)}
)  # fmt: skip


@dataclass(frozen=True)
class TeacherTraining:
    """How a teacher is trained.

    Attributes:
        build: makes the network, with its options in the open.
        steps: optimizer steps.
        rate: highest learning rate.
        samples: how many of the pool it sees; those of the student if not given.
        batch: samples of a step.
        seed: of weights and order.
    """

    build: partial[nn.Module]
    steps: int
    rate: float
    samples: int | None = None
    batch: int = 64
    seed: int = 0

    @property
    def settings(self) -> Settings:
        """Of the training."""
        return Settings(steps=self.steps, lr=self.rate, seed=self.seed)


@dataclass(frozen=True)
class Pair:
    """A teacher, a student and the student's data.

    Attributes:
        name: in tables.
        data: name of the data set.
        family: whether both are of one family.
        teacher: how it is trained.
        student: builds the student; its argument scales the width.
        samples: labels that the student has, a fifth of them to select with.
        steps: of one plain run.
        batch: samples of a step.
        augment: changes inputs at random.
        labels: ``False`` if the student sees none and is judged by a linear probe.
        positions: ``False`` if the student keeps no positions and cannot predict them.
        role: ``main``, or ``labels`` for those that only say how the gain depends on the number of labels.
    """

    name: str
    data: str
    family: bool
    teacher: TeacherTraining
    student: Callable[[float], nn.Module]
    samples: int
    steps: int
    batch: int
    augment: Augment | None = None
    labels: bool = True
    positions: bool = True
    role: Literal["main", "labels"] = "main"

    @property
    def own_data(self) -> bool:
        """Whether the teacher saw nothing but the student's data, without pre-training."""
        seen = self.teacher.samples
        return (seen is None or seen <= self.samples) and self.data not in {"reviews", "glosses"}

    @property
    def check(self) -> bool:
        """Whether the pair is only looked at when the design is frozen."""
        return self.name in CHECK

    @property
    def teacher_facts(self) -> dict[str, Any]:
        """All that the teacher's weights depend on."""
        trained = self.teacher
        return {
            "network": trained.build.func.__name__, "arguments": trained.build.args, "options": trained.build.keywords,
            "data": self.data, "samples": trained.samples or self.samples, "batch": trained.batch,
            "augment": self.augment and self.augment.__name__, "settings": trained.settings.model_dump(mode="json"),
        }  # fmt: skip

    @property
    def teacher_name(self) -> str:
        """Teachers that are trained alike are trained once, and no others share a name."""
        facts = self.teacher_facts
        digest = sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
        return f"{self.data}-{facts['network']}-{digest[:12]}"


def _wide(width: int, scale: float, multiple: int = 1) -> int:
    return max(multiple, round(width * scale / multiple) * multiple)


_SERIES = TeacherTraining(partial(ResNet, 1, width=32, blocks=2), steps=1500, rate=3e-3)
_MORE_SERIES = replace(_SERIES, samples=16_000, steps=3000)
# 87.9 % of 2,000 samples of the pool that neither side is trained with.
_WEAK_SERIES = replace(_SERIES, samples=250, steps=60)
_ANIMALS = TeacherTraining(partial(ResNet, 2, width=16, blocks=2), steps=700, rate=3e-3)
_MORE_ANIMALS = replace(_ANIMALS, samples=7_500, steps=1500)
_DIGITS = TeacherTraining(partial(ResNet, 2, width=32, blocks=1), steps=400, rate=3e-3)
_MORE_DIGITS = replace(_DIGITS, samples=1_197)
_REVIEWS = TeacherTraining(partial(MiniLM, classes=2), steps=400, rate=1e-4, batch=32)
_GLOSSES = TeacherTraining(partial(MiniLM, classes=45), steps=1500, rate=1e-4, batch=32, samples=90_000)


def _gloss_transformer(scale: float) -> nn.Module:
    return TextTransformer(width=_wide(64, scale, 16), layers=2, classes=45)


def _glosses(name: str, samples: int, steps: int, *, role: Literal["main", "labels"] = "labels") -> Pair:
    return Pair(
        name, "glosses", True, _GLOSSES, _gloss_transformer, samples, steps, 64, role=role,
    )  # fmt: skip


def pairs() -> tuple[Pair, ...]:
    """All pairs, in the order in which they are run: development pairs first, unlike ones before those like them."""
    return (
        Pair("series-mlp", "series", False, _SERIES, lambda s: Perceptron(40, width=_wide(64, s), layers=3),
             4_000, 600, 100),
        Pair("digits-cnn", "digits", True, _DIGITS, lambda s: Plain(2, width=_wide(8, s)),
             600, 400, 32),
        Pair("animals-mlp", "animals", False, _ANIMALS, lambda s: Perceptron(784, width=_wide(48, s), layers=3),
             2_000, 500, 64),
        Pair("series-gru", "series", False, _MORE_SERIES, lambda s: Recurrent(width=_wide(32, s)),
             4_000, 500, 100),
        Pair("animals-cnn", "animals", True, _ANIMALS, lambda s: Plain(2, width=_wide(8, s)),
             2_000, 400, 64),
        Pair("digits-mlp", "digits", False, _MORE_DIGITS, lambda s: Perceptron(64, width=_wide(32, s), layers=2),
             200, 400, 32),
        Pair("series-cnn", "series", True, _SERIES, lambda s: Plain(1, width=_wide(12, s)),
             4_000, 500, 100),
        Pair("series-deep", "series", True, _SERIES, lambda s: ResNet(1, width=_wide(6, s), blocks=3),
             4_000, 250, 100),
        Pair("animals-cnn-augmented", "animals", True, _ANIMALS, lambda s: Plain(2, width=_wide(8, s)),
             2_000, 200, 64, augment=flipped),
        Pair("reviews-bag", "reviews", False, _REVIEWS, lambda s: Bag(width=_wide(64, s), classes=2),
             6_530, 400, 64, positions=False),
        replace(_glosses("glosses-unlabelled", 10_000, 150, role="main"), labels=False),
        Pair("series-transformer", "series", False, _SERIES,
             lambda s: PatchTransformer(1, width=_wide(32, s, 16), layers=3, patch=4), 4_000, 300, 100),
        Pair("series-cnn-weak", "series", True, _WEAK_SERIES, lambda s: Plain(1, width=_wide(12, s)),
             1_000, 400, 50),
        Pair("series-cnn-augmented", "series", True, _SERIES, lambda s: Plain(1, width=_wide(12, s)),
             4_000, 300, 100, augment=shifted),
        Pair("animals-vit", "animals", False, _MORE_ANIMALS,
             lambda s: PatchTransformer(2, width=_wide(32, s, 16), layers=3, patch=7), 2_000, 300, 64),
        Pair("reviews-transformer", "reviews", True, _REVIEWS,
             lambda s: TextTransformer(width=_wide(64, s, 16), layers=2, classes=2), 6_530, 160, 64),
        _glosses("glosses-transformer", 10_000, 160, role="main"),
        *(_glosses(f"glosses-{count}-labels", count, 400) for count in LABEL_COUNTS),
    )  # fmt: skip


def named(names: Sequence[str]) -> tuple[Pair, ...]:
    """The pairs of these names, in their own order."""
    return tuple(pair for pair in pairs() if pair.name in names)
