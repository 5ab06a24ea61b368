"""What a plan is made from beside the recipe and the sites."""

from __future__ import annotations

from dataclasses import dataclass

from limbeck.choice import Choice
from limbeck.planning.task import Task


@dataclass(frozen=True)
class Facts:
    """What was learnt of the data and the models before anything is chosen.

    Attributes:
        samples: in an epoch, those held out included; ``None`` for a stream.
        task: what the labels ask of the student.
        student_shape: of the student's logits; ``None`` if it has none.
        teacher_shape: likewise.
        numbered: how many numbers samples of the training data have; ``None`` where they are not known by number.
        notes: decisions made on the way, such as the held-out share.
        other_tokens: whether the teacher reads other tokens than the student, as where each has its own tokenizer.
        own_loss: whether the user gives the loss of the labels, which then need not be understood.
    """

    samples: int | None
    task: Task
    student_shape: tuple[int, ...] | None
    teacher_shape: tuple[int, ...] | None
    numbered: int | None = None
    notes: tuple[Choice, ...] = ()
    other_tokens: bool = False
    own_loss: bool = False

    @property
    def same_outputs(self) -> bool:
        """Whether both models answer the same questions, in the same shape."""
        same = self.student_shape is not None and self.student_shape == self.teacher_shape
        return same and not self.answers_of_other_tokens

    @property
    def answers_of_other_tokens(self) -> bool:
        """Whether the teacher's answers are of its own tokens, none of which is one of the student's."""
        return self.other_tokens and self.teacher_shape is not None and len(self.teacher_shape) > 2
