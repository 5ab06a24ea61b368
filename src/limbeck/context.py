"""What a loss may ask for beside the two things that it compares."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from limbeck.errors import DataError


class Context(NamedTuple):
    """What is known of a batch when its output losses are computed; every part may be absent.

    Attributes:
        targets: labels.
        keys: number of each sample and of its view.
        student_output: the student's logits.
        teacher_output: the teacher's logits, or its :class:`TopAnswers`.
        student_loss: the loss that the student's own forward returned.
        mask: ``False`` at positions that are padding; of the inputs, so that it says something of logits with one
            answer for each of them only.
    """

    targets: Any = None
    keys: Tensor | None = None
    student_output: Any = None
    teacher_output: Any = None
    student_loss: Tensor | None = None
    mask: Bool[Tensor, "B N"] | None = None


NOTHING_KNOWN = Context()


class Heads(NamedTuple):
    """The last linear layers of both models, for losses that read features through them; ``None`` where there is none.

    Attributes:
        student: is trained with the student; a loss refers to it and does not own it.
        teacher: frozen.
        members: the teacher's, of each member of a committee of several, by its name.
    """

    student: nn.Linear | None = None
    teacher: nn.Linear | None = None
    members: Mapping[str, nn.Linear | None] = MappingProxyType({})

    def of_member(self, name: str) -> Heads:
        """Those of the student and of one member of a committee; unchanged where there is none."""
        return self._replace(teacher=self.members.get(name)) if self.members else self


NO_HEADS = Heads()


class TopAnswers(NamedTuple):
    """A teacher's answers of which only the most probable classes were kept, as in a cache of large vocabularies.

    How the other classes share what is left is not known, only how much it is, at the temperatures it was kept for.

    Attributes:
        log_probabilities: ``[..., k]``, of the softmax over all classes, falling.
        indices: ``[..., k]``, their class numbers.
        rest: ``[...]`` for each known temperature ``T``: the log of the sum of ``exp(log_probability / T)`` over all
            other classes.
        classes: how many there are in all.
    """

    log_probabilities: Tensor
    indices: Tensor
    rest: Mapping[float, Tensor]
    classes: int

    @property
    def kept(self) -> int:
        """How many classes of each answer are known."""
        return self.indices.shape[-1]

    def at(self, temperature: float) -> Tensor:
        """Log-probabilities ``[..., k + 1]`` of the kept classes, and of all others together, at a temperature.

        Raises:
            DataError: if what the others have was not kept for this temperature.

        Example:
            >>> logs = torch.tensor([[0.5, 0.25]]).log()
            >>> answers = TopAnswers(logs, torch.tensor([[3, 0]]), {1.0: torch.tensor([0.25]).log()}, classes=5)
            >>> answers.at(1.0).exp()
            tensor([[0.5000, 0.2500, 0.2500]])
        """
        if temperature not in self.rest:
            raise DataError(
                f"Soft labels at temperature {temperature} need what all classes that were not kept have there. Found "
                f"it for {sorted(self.rest)}. Keep it for this one, or take one of these temperatures."
            )
        rest = self.rest[temperature].unsqueeze(-1)
        return torch.cat([self.log_probabilities.to(rest.dtype) / temperature, rest], dim=-1).log_softmax(dim=-1)

    def first(self, count: int) -> TopAnswers:
        """The same with the ``count`` most probable classes only; all others are added to the rest."""
        if count >= self.kept:
            return self
        left = self.log_probabilities[..., count:].float()
        rest = {each: torch.logaddexp(known, (left / each).logsumexp(-1)) for each, known in self.rest.items()}
        return TopAnswers(self.log_probabilities[..., :count], self.indices[..., :count], rest, self.classes)
