"""What a loss may ask for beside the two things that it compares."""

from __future__ import annotations

from typing import Any, NamedTuple

from jaxtyping import Bool
from torch import Tensor, nn


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
    """

    student: nn.Linear | None = None
    teacher: nn.Linear | None = None


NO_HEADS = Heads()


class TopAnswers(NamedTuple):
    """A teacher's answers of which only the most probable classes were kept, as in a cache of large vocabularies.

    Attributes:
        log_probabilities: ``[..., k]``, of the softmax over all classes at the temperature of the loss that reads them.
        indices: ``[..., k]``, their class numbers.
    """

    log_probabilities: Tensor
    indices: Tensor
