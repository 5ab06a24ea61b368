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
        share: weight within the features.
        reason: why so.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    student: str
    teacher: str
    loss: Part
    projector: Part | None = None
    targets: tuple[Part, ...] = ()
    share: float = Field(default=1.0, gt=0)
    reason: str = ""
