"""Contrastive representation distillation."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from limbeck._math.layers import linear
from limbeck.context import Context, Heads
from limbeck.errors import DataError, RecipeError
from limbeck.features import Feature
from limbeck.links import Link, Match
from limbeck.losses.family import InformedLoss
from limbeck.losses.gathering import gathered
from limbeck.losses.sizes import require_channels

_EPS = 1e-7


class CRD(InformedLoss):
    r"""Tell the teacher's feature of the same sample from those of many others, remembered from earlier batches.

    From "Contrastive Representation Distillation" (Tian et al., ICLR 2020), https://arxiv.org/abs/1910.10699, eq. 17
    and 18, in both directions:

    $$ -\frac1B \sum_b \left[ \log \frac{p(b, b)}{p(b, b) + \kappa + \epsilon}
       + \sum_{k=1}^K \log \frac{\kappa}{p(b, k) + \kappa + \epsilon} \right], \qquad
       p(b, k) = \frac{e^{v_b^\top m_k / \tau}}{Z}, \quad \kappa = \frac{K}{S} $$

    with $v$ one side's pooled feature, mapped to ``embedding`` numbers and scaled to length 1, and $m$ the other side's
    memory of it for each of the $S$ samples of the training data, which moves by ``momentum`` towards each new
    embedding. $Z$, one for each direction, is $S$ times the mean of the exponentials in the first batch of the training
    and stays so. The loss learns both maps, the teacher's too.

    Differs from the paper, as the official code does: exponentials are divided by $Z$. Differs from that code: a sample
    is never its own negative; with ``other_classes`` those of the anchor's own class do not count, and the others so
    much more that there are still $K$, where the code draws from a table of the other classes.

    With several processes all remember what each has seen. In evaluation nothing is remembered, and the other side's
    feature of the moment stands for the memory of the sample.

    Shapes: student ``[B, Ns, Cs]``, teacher ``[B, Nt, Ct]``; the memory holds ``2 S embedding`` numbers.

    Args:
        samples: $S$; the first column of the batch's keys is a sample's number, from 0 to $S - 1$.
        student_channels: ``Cs``.
        teacher_channels: ``Ct``.
        negatives: $K$, drawn with replacement for each anchor; ``None`` for all other samples. Default 16384: paper.
        other_classes: whether negatives are of other classes only; needs integer labels. Default ``False``: our choice,
            labels may be missing (official code: ``mode="relax"``; its default is the other).
        embedding: default 128: paper.
        temperature: $\tau$; default 0.07: official code.
        momentum: share of the old memory; default 0.5: official code.

    Raises:
        DataError: if a key is not the number of a sample, or labels are needed and missing.
        ShapeMismatch: if the channels are not those it was built for.
        RecipeError: if a size is below 1 (``samples``: below 2), ``temperature`` not positive or ``momentum`` not in
            [0, 1).

    Example:
        >>> loss = CRD(100, 4, 6, negatives=20)
        >>> student, teacher = Feature(torch.randn(2, 9, 4)), Feature(torch.randn(2, 1, 6))
        >>> keys = torch.tensor([[17, 0], [42, 0]])   # samples 17 and 42, first view
        >>> bool(loss(student, teacher, Context(keys=keys)) > 0)
        True
    """

    requires: ClassVar[frozenset[str]] = frozenset({"keys"})
    needs: ClassVar[Match] = Match.NOTHING
    zero_when_equal: ClassVar[bool] = False
    student_memory: Tensor
    teacher_memory: Tensor
    labels: Tensor
    normaliser: Tensor

    def __init__(
        self,
        samples: int,
        student_channels: int,
        teacher_channels: int,
        /,
        *,
        negatives: int | None = 16384,
        other_classes: bool = False,
        embedding: int = 128,
        temperature: float = 0.07,
        momentum: float = 0.5,
    ) -> None:
        super().__init__()
        if samples < 2 or embedding < 1 or (negatives is not None and negatives < 1):
            raise RecipeError(
                "CRD needs at least 2 samples, 1 negative and 1 number in an embedding. Found "
                f"samples={samples}, negatives={negatives}, embedding={embedding}."
            )
        if temperature <= 0 or not 0 <= momentum < 1:
            raise RecipeError(
                "CRD needs a positive temperature and a momentum in [0, 1). Found "
                f"temperature={temperature}, momentum={momentum}."
            )
        self.samples_known = samples
        self.negatives = negatives
        self.other_classes = other_classes
        self.temperature = temperature
        self.momentum = momentum
        self.student_map = nn.Linear(student_channels, embedding)
        self.teacher_map = nn.Linear(teacher_channels, embedding)
        # Numbers of variance 1 / embedding, as the official code draws them: memories of about length 1.
        bound = (3 / embedding) ** 0.5
        self.register_buffer("student_memory", torch.empty(samples, embedding).uniform_(-bound, bound))
        self.register_buffer("teacher_memory", torch.empty(samples, embedding).uniform_(-bound, bound))
        self.register_buffer("labels", torch.full((samples,), -1) if other_classes else None)
        self.register_buffer("normaliser", torch.zeros(2))

    @classmethod
    def for_link(
        cls,
        link: Link,
        _heads: Heads,
        /,
        *,
        samples: int | None = None,
        negatives: int | None = 16384,
        other_classes: bool = False,
        embedding: int = 128,
        temperature: float = 0.07,
        momentum: float = 0.5,
    ) -> CRD:
        """Build one with the sizes of a link; ``samples`` must be given, which a plan does by itself.

        Samples that are held out of the training data have numbers too: they are remembered as they were drawn.
        """
        if samples is None:
            raise RecipeError(
                "CRD remembers every sample. Found no samples=. Give the length of the training data: "
                "{kind: CRD, samples: 50000}."
            )
        return cls(
            samples,
            link.student.channels,
            link.teacher.channels,
            negatives=negatives,
            other_classes=other_classes,
            embedding=embedding,
            temperature=temperature,
            momentum=momentum,
        )

    def compare_knowing(self, student: Feature, teacher: Feature, context: Context, /) -> Float[Tensor, ""]:
        """The formula; in training the memory then moves on."""
        require_channels(self, "student", student, self.student_map.in_features)
        require_channels(self, "teacher", teacher, self.teacher_map.in_features)
        numbers, labels = self._numbers(context), self._labels(context)
        mine = _embedded(student, self.student_map)
        theirs = _embedded(teacher, self.teacher_map)
        others = self._others(numbers)
        counts = self._counts(others, labels)
        # Samples outside of training have no memory of their own: the other side's feature of the moment stands for it.
        own = (self.teacher_memory[numbers], self.student_memory[numbers]) if self.training else (theirs, mine)
        value = self._one_way(mine, own[0], self.teacher_memory[others], counts, 0)
        value = value + self._one_way(theirs, own[1], self.student_memory[others], counts, 1)
        if self.training:
            self._remember(numbers, labels, mine, theirs)
        return value

    def _numbers(self, context: Context) -> Int[Tensor, " B"]:
        if context.keys is None:
            raise DataError("CRD needs the keys of the batch. Found none. Yield limbeck.Batch(inputs, targets, keys).")
        numbers = context.keys[:, 0]
        # Where asking would wait for a device, and in compiled code, a number outside of it fails in the lookup.
        asked = self.training and context.keys.device.type == "cpu" and not torch.compiler.is_compiling()
        if asked and bool(((numbers < 0) | (numbers >= self.samples_known)).any()):
            raise DataError(
                f"CRD was built for samples numbered from 0 to {self.samples_known - 1}. Found keys from "
                f"{int(numbers.min())} to {int(numbers.max())}. Give samples= the length of the training data."
            )
        return numbers.to(self.student_memory.device, non_blocking=True)

    def _labels(self, context: Context) -> Int[Tensor, " B"] | None:
        if not self.other_classes:
            return None
        labels = context.targets
        if not isinstance(labels, Tensor) or labels.ndim != 1 or labels.is_floating_point():
            raise DataError(
                "CRD with other_classes=True needs one integer label for each sample. Found "
                f"{type(labels).__name__}. Yield labels from the loader, or leave other_classes out."
            )
        return labels.to(self.student_memory.device)

    def _others(self, numbers: Int[Tensor, " B"]) -> Int[Tensor, "B K"]:
        """Samples other than each anchor: each is so many further, around the end of the data."""
        if self.negatives is None:
            further = torch.arange(1, self.samples_known, device=numbers.device).expand(len(numbers), -1)
        else:
            shape = (len(numbers), self.negatives)
            further = torch.randint(1, self.samples_known, shape, device=numbers.device)
        return (numbers.unsqueeze(1) + further) % self.samples_known

    def _counts(self, others: Int[Tensor, "B K"], labels: Int[Tensor, " B"] | None) -> Float[Tensor, "B K"] | None:
        """How much each negative counts: those of the anchor's class not at all, the rest K together."""
        if labels is None:
            return None
        foreign = (self.labels[others] != labels.unsqueeze(1)).to(self.student_memory.dtype)
        return foreign * (others.shape[1] / foreign.sum(1, keepdim=True).clamp_min(1.0))

    def _one_way(
        self,
        embedded: Float[Tensor, "B D"],
        own: Float[Tensor, "B D"],
        others: Float[Tensor, "B K D"],
        counts: Float[Tensor, "B K"] | None,
        way: int,
    ) -> Float[Tensor, ""]:
        remembered = torch.cat([own.unsqueeze(1).to(embedded.dtype), others.to(embedded.dtype)], 1)
        likeness = torch.einsum("bd,bkd->bk", embedded, remembered).div(self.temperature).exp()
        drawn = others.shape[1]
        share = drawn / self.samples_known
        positive, negative = (likeness / self._normaliser(likeness, way)).split([1, drawn], 1)
        right = torch.log(positive / (positive + share + _EPS))
        wrong = torch.log(share / (negative + share + _EPS))
        wrong = wrong if counts is None else wrong * counts.to(wrong.dtype)
        return -(right.sum() + wrong.sum()) / len(embedded)

    def _normaliser(self, likeness: Float[Tensor, "B M"], way: int) -> Float[Tensor, ""]:
        known = self.normaliser[way].to(likeness.dtype)
        found = torch.where(known > 0, known, likeness.detach().mean() * self.samples_known)
        if self.training:
            self.normaliser[way] = found.to(self.normaliser.dtype)
        return found

    @torch.no_grad()
    def _remember(
        self,
        numbers: Int[Tensor, " B"],
        labels: Int[Tensor, " B"] | None,
        student: Float[Tensor, "B D"],
        teacher: Float[Tensor, "B D"],
    ) -> None:
        numbers, student, teacher = gathered(numbers), gathered(student), gathered(teacher)
        for memory, new in ((self.student_memory, student), (self.teacher_memory, teacher)):
            moved = self.momentum * memory[numbers] + (1 - self.momentum) * new.to(memory.dtype)
            memory.index_copy_(0, numbers, F.normalize(moved, dim=1))
        if labels is not None:
            self.labels.index_copy_(0, numbers, gathered(labels).to(self.labels.dtype))

    def extra_repr(self) -> str:
        """Sizes and options."""
        sizes = f"{self.samples_known}, {self.student_map.in_features}, {self.teacher_map.in_features}"
        return (
            f"{sizes}, negatives={self.negatives}, other_classes={self.other_classes}, "
            f"embedding={self.student_map.out_features}, temperature={self.temperature}, momentum={self.momentum}"
        )


def _embedded(feature: Feature, layer: nn.Linear) -> Float[Tensor, "B D"]:
    return F.normalize(linear(feature.pooled(), layer.weight, layer.bias), dim=1)
