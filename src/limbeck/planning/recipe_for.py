"""Which of the shipped recipes a pair is begun with."""

from __future__ import annotations

from limbeck.batch import Batch, tensors
from limbeck.choice import Choice
from limbeck.planning.facts import Facts
from limbeck.planning.task import Kind


def recipe_for(facts: Facts, batch: Batch) -> Choice:
    """The name of the shipped recipe for the task that was seen, and why.

    Where there is none for it, that is ``auto``, which has no task in mind.

    Args:
        facts: of the data and of what the models answer.
        batch: the first one, to tell images from texts.
    """
    kind = facts.task.kind
    seen = f"{kind.value} ({facts.task.reason})"
    if kind is Kind.UNLABELLED and not facts.same_outputs:
        name = "sentence-embeddings" if _texts(batch) else "features"
        return Choice("recipe", name, f"{seen}, and no common answer")
    if kind is Kind.CLASSES and not facts.same_outputs:
        return Choice("recipe", "penultimate", f"{seen}, and the models answer in different classes")
    if facts.same_outputs and (kind is Kind.OWN or facts.task.next_token):
        return Choice("recipe", "language-model", seen)
    if kind is Kind.DENSE and facts.same_outputs and _images(batch):
        return Choice("recipe", "dense-prediction", seen)
    if kind is Kind.CLASSES and (_texts(batch) or _images(batch)):
        return Choice("recipe", "text-classification" if _texts(batch) else "image-classification", seen)
    return Choice("recipe", "auto", seen)


def _texts(batch: Batch) -> bool:
    return any(not each.is_floating_point() for each in tensors(batch.inputs))


def _images(batch: Batch) -> bool:
    return any(each.is_floating_point() and each.ndim == 4 for each in tensors(batch.inputs))
