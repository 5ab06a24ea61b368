"""One feature term of a plan, as data."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from limbeck.recipe.part import Part


class TermPlan(BaseModel):
    """Which student site learns from which teacher site, through what, by which loss.

    Attributes:
        student: site of the student.
        teacher: site of the teacher.
        loss: the comparison.
        projector: what the student's feature passes through; ``None`` for nothing.
        targets: what the teacher's feature passes through, one after the other.
        both: what either side passes through right before the loss.
        share: weight within the features.
        reason: why so.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    student: str
    teacher: str
    loss: Part
    projector: Part | None = None
    targets: tuple[Part, ...] = ()
    both: tuple[Part, ...] = ()
    share: float = Field(default=1.0, gt=0)
    reason: str = ""

    @property
    def comparison(self) -> str:
        """The loss, and what both sides pass through right before it."""
        return " ".join([str(self.loss), *(["of", ", ".join(map(str, self.both))] if self.both else [])])
