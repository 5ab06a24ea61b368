"""In what form a teacher's answers are cached for a distiller."""

from __future__ import annotations

from limbeck.cache.answers import AnswerForm, MostProbable, WholeAnswers
from limbeck.distiller.distiller import Distiller
from limbeck.errors import RecipeError
from limbeck.outputs.family import OutputLoss

# Kept beside those of the losses, so that a later recipe with a usual temperature need not run the teacher again.
_USUAL_TEMPERATURES = (1.0, 2.0, 4.0)


def answer_form(distiller: Distiller, shape: tuple[int, ...], top_k: int | None) -> AnswerForm:
    """All logits, or the ``top_k`` most probable classes if there are more than these.

    Args:
        distiller: its losses say at which temperatures they read the most probable classes.
        shape: of a sample's logits.
        top_k: how many classes of each answer are kept; ``None`` for all.

    Raises:
        RecipeError: if a loss needs all logits.
    """
    if top_k is None:
        return WholeAnswers(shape)
    reading = [each for each in distiller.outputs if isinstance(each, OutputLoss) and "teacher_output" in each.requires]
    if whole := [type(each).__name__ for each in reading if each.top_temperature is None]:
        raise RecipeError(
            f"A cache of the {top_k} most probable classes (cache_top_k={top_k}) needs output losses that take all "
            f"others together. Found {' and '.join(whole)}, which need every logit. Use SoftLabels, ForwardKL or "
            "TopKSoftLabels, or leave cache_top_k out."
        )
    read = {each.top_temperature for each in reading if each.top_temperature is not None}
    form = MostProbable(shape, top_k, sorted({*read, *_USUAL_TEMPERATURES}))
    return form if top_k < form.classes else WholeAnswers(shape)
