"""What decides which of the student's weights are kept."""

from __future__ import annotations

from dataclasses import dataclass

from limbeck.choice import Choice
from limbeck.distiller.distiller import Distiller
from limbeck.training.evaluation import own_losses
from limbeck.training.metrics import Metric


@dataclass(frozen=True)
class Selection:
    """What a look at the validation data is judged by.

    Attributes:
        metric: of the student's answers; ``None`` to judge by a loss.
        name: for people, such as ``accuracy`` or ``minus the feature loss``.
        choice: the decision, for the plan.
    """

    metric: Metric | None
    name: str
    choice: Choice

    @classmethod
    def of(cls, distiller: Distiller, metric: Metric | None, name: str, *, own: bool, validated: bool) -> Selection:
        """Decide for a distiller.

        Answers are judged where an output loss trains them. Where features alone are learnt the head is as it was
        given, and what it answers says nothing: the held-out feature loss is judged then, unless the metric is the
        user's own function.

        Args:
            distiller: what is trained.
            metric: what was asked for; ``None`` where there is nothing to compare answers with.
            name: of the metric.
            own: whether the metric is a function of the user's.
            validated: whether there is validation data.
        """
        if not distiller.trains_answers and not (own and metric is not None):
            metric, name = None, "minus the feature loss"
            reason = "no output loss acts, so the student's answers are not trained"
        elif metric is None:
            if own_losses(distiller):
                name, reason = "minus the student's own loss", "the student judges its labels itself"
            else:
                reason = "there are no labels to compare the student's answers with"
        else:
            reason = "a function of your own" if own else "the student's answers against the labels"
        if not validated:
            return cls(metric, name, Choice("selection", "the last step", "there is no validation data to select by"))
        schedule = distiller.schedule
        if schedule is not None and schedule.outputs_from and distiller.trains_answers:
            reason += f"; judged once the outputs act, after {100 * schedule.outputs_from:g} % of the steps"
        return cls(metric, name, Choice("selection", f"{name} on validation", reason))
