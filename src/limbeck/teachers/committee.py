"""Several teachers as one."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from limbeck.batch import accepted, map_tensors, read_logits, unwrap
from limbeck.errors import ModelError
from limbeck.teachers.mean_answers import mean_probabilities

Teachers = nn.Module | Sequence[nn.Module] | Mapping[str, nn.Module]
_MEMBER = re.compile(r"[^.:@\[]*")


class CommitteeAnswer(NamedTuple):
    """What the members of a committee returned for the same inputs.

    Attributes:
        members: of each, in order, exactly what it returned.
        weights: of the members, in sum 1.
    """

    members: tuple[Any, ...]
    weights: Float[Tensor, " M"]

    @property
    def logits(self) -> Tensor | None:
        """The mean of the members' probabilities, as logits; ``None`` if they do not all answer in one shape."""
        found = [read_logits(each) for each in self.members]
        shapes = {tuple(each.shape) if isinstance(each, Tensor) else None for each in found}
        return None if None in shapes or len(shapes) > 1 else mean_probabilities(found, self.weights)


class Committee(nn.Module):
    r"""Several teachers as one, whose features are learnt side by side and whose answers are joined into their mean.

    Stands wherever a teacher does. Its sites are those of its members behind their names: ``resnet.layer3``. A plan
    links the layers of each member with the student's as if it were the only teacher, with a projector for every link
    and each target standardised by itself, so that no member's scale weighs; and divides the share of the features
    among the members, so that one more does not change what features weigh in all. That each feature space is
    standardised is what "PHI-S: Distribution Balancing for Label-Free Multi-Teacher Distillation" (Ranzinger et al.
    2024), https://arxiv.org/abs/2410.01680, and "UNIC: Universal Classification Models via Multi-teacher Distillation"
    (Sariyildiz et al., ECCV 2024), https://arxiv.org/abs/2408.05088, found to be needed.

    The answer is the mean of those members whose answers have the shape of the student's: of probabilities for classes
    (:func:`~limbeck.teachers.mean_answers.mean_probabilities`), of numbers in a regression. Members without such an
    answer, such as encoders, teach by their features only.

    Every member gets the same inputs. One that was trained on images of another size or normalisation needs a module
    around it that sees to that.

    Args:
        teachers: by their names, or in order: then each is called by its class, with a number where several are of
            one. They stay as they are.
        drop: how likely it is that the features of a member are left out of a step of the training, from 0 to 1; at
            least one member stays, and what stays weighs by so much more that the expectation of every weight is as
            without. Default 0: all count in every step; UNIC has 0.5. A member that is left out does not run, where
            nothing else needs it. Answers are those of all members in every step.
        weights: how much each member counts, in features and answers; they are divided by their sum. All alike if not
            given.

    Raises:
        ModelError: if there is no teacher, one is no module or stands there twice, a name cannot be part of a site's,
            or ``drop`` or a weight is out of range.

    Example:
        >>> wide, deep = nn.Linear(4, 3), nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        >>> committee = Committee({"wide": wide, "deep": deep}, weights={"wide": 1, "deep": 3})
        >>> committee.weights, [name for name, _ in committee.named_modules()][1:4]
        ((0.25, 0.75), ['wide', 'deep', 'deep.0'])
        >>> x = torch.randn(5, 4)
        >>> mean = 0.25 * wide(x).softmax(-1) + 0.75 * deep(x).softmax(-1)
        >>> torch.allclose(committee(x).logits.softmax(-1), mean)
        True
    """

    answer_weights: Tensor

    def __init__(
        self,
        teachers: Sequence[nn.Module] | Mapping[str, nn.Module],
        *,
        drop: float = 0.0,
        weights: Sequence[float] | Mapping[str, float] | None = None,
    ) -> None:
        super().__init__()
        named = dict(teachers) if isinstance(teachers, Mapping) else _called(teachers)
        _refuse_no_models(named)
        if not 0 <= drop <= 1:
            raise ModelError(f"A committee leaves members out with a probability from 0 to 1. Found drop={drop}.")
        self.drop = float(drop)
        self.weights = _shares(list(named), weights)
        # A buffer, so that it moves with the members, and a cache of other weights is known to be stale.
        self.register_buffer("answer_weights", torch.tensor(self.weights))
        for name, member in named.items():
            if not name.isidentifier() or hasattr(self, name):
                raise ModelError(
                    f"A member's name begins those of its sites, as in 'resnet.layer3'. Found {name!r}, which is no "
                    "word or has a meaning of its own. Give Committee({'resnet': teacher, ...})."
                )
            self.add_module(name, member)
        self.train(all(member.training for member in named.values()))

    @property
    def members(self) -> dict[str, nn.Module]:
        """The teachers by their names, in order."""
        return dict(self.named_children())

    def forward(self, *args: Any, **kwargs: Any) -> CommitteeAnswer:
        """What every member returns; of keyword arguments each gets those that it takes."""
        found = []
        for member in self.members.values():
            # Each gets inputs of its own, which it may overwrite.
            mine = map_tensors((args, dict(kwargs)), Tensor.clone)
            found.append(member(*mine[0], **accepted(member, mine[1])))
        return CommitteeAnswer(tuple(found), self.answer_weights)

    def extra_repr(self) -> str:
        """Weights and how likely it is that a member is left out."""
        return f"weights={self.weights}, drop={self.drop}"


def as_teacher(teacher: Teachers) -> nn.Module:
    """The committee of several teachers in a list or a dict; anything else as it is.

    Example:
        >>> as_teacher([nn.Linear(2, 2), nn.Linear(2, 2)]).weights
        (0.5, 0.5)
    """
    return Committee(teacher) if isinstance(teacher, Sequence | Mapping) else teacher


def member_of(site: str) -> str:
    """The name of the member that a committee's site belongs to.

    Example:
        >>> member_of("resnet.layer3"), member_of("encoder:input")
        ('resnet', 'encoder')
    """
    found = _MEMBER.match(site)
    return "" if found is None else found[0]


def within_member(site: str) -> str:
    """A committee's site as its member knows it.

    Example:
        >>> within_member("resnet.layer3"), within_member("encoder:input")
        ('layer3', ':input')
    """
    return site[len(member_of(site)) :].removeprefix(".")


def of_member(name: str, site: str) -> str:
    """A member's site as its committee knows it.

    Example:
        >>> of_member("resnet", "layer3"), of_member("encoder", ":input")
        ('resnet.layer3', 'encoder:input')
    """
    return f"{name}.{site}" if member_of(site) else f"{name}{site}"


def _called(teachers: Sequence[Any]) -> dict[str, Any]:
    """The teachers by their classes, numbered where several are of one."""
    classes = [type(unwrap(each) if isinstance(each, nn.Module) else each).__name__ for each in teachers]
    shared, seen = Counter(classes), Counter[str]()
    named: dict[str, Any] = {}
    for name, teacher in zip(classes, teachers, strict=True):
        seen[name] += 1
        named[name if shared[name] == 1 else f"{name}_{seen[name]}"] = teacher
    return named


def _refuse_no_models(named: Mapping[str, Any]) -> None:
    if not named:
        raise ModelError("A committee needs at least one teacher. Found none. Give Committee([first, second]).")
    for name, teacher in named.items():
        if not isinstance(teacher, nn.Module) or isinstance(teacher, Committee):
            what = "a committee" if isinstance(teacher, Committee) else type(teacher).__name__
            raise ModelError(f"Each member must be a torch.nn.Module of its own. Found {what} at {name!r}. Build it.")
    different = {id(unwrap(each)) for each in named.values()}
    if len(different) < len(named):
        raise ModelError(
            f"The members of a committee must be different models. Found {len(different)} among {len(named)}. Build "
            "each by itself; to count one twice, give it twice the weight."
        )


def _shares(names: Sequence[str], weights: Sequence[float] | Mapping[str, float] | None) -> tuple[float, ...]:
    if isinstance(weights, Mapping):
        given = [weights.get(name, math.nan) for name in names] if set(weights) == set(names) else []
    else:
        given = [1.0] * len(names) if weights is None else list(weights)
    if len(given) != len(names) or not all(0 < each < math.inf for each in given):
        raise ModelError(
            f"Each member needs a weight above 0: {', '.join(names)}. Found {weights}. To leave one out, leave it out "
            "of the committee."
        )
    return tuple(each / sum(given) for each in given)
