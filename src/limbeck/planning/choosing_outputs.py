"""The output losses of a plan: chosen by the data, or what the recipe says in the terms of the task."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import limbeck.outputs
from limbeck.choice import Choice
from limbeck.errors import DataError, PlanMismatch
from limbeck.planning.facts import Facts
from limbeck.planning.task import Kind
from limbeck.recipe.part import Part
from limbeck.recipe.recipe import LABELS, TEACHER, OutputTerm, Recipe

FEW_LABELS = 3000
_SOFTENED = {"SoftLabels", "BinarySoftLabels"}
# What to compare with whether features helped: the recipes that have none.
_WITHOUT_FEATURES = ("soft-labels", "labels")

Outputs = tuple[OutputTerm, ...]


def choose_outputs(recipe: Recipe, facts: Facts) -> tuple[Outputs, Choice]:
    """The output losses, and why.

    ``auto`` is temperature 4 and half the weight below 3,000 labels, else plain labels: soft labels helped with 500 to
    1,000 labels in our prototype and with 200 to 2,000 in ``benchmarks/weights``, and not with 4,000 in either. The
    kinds ``labels`` and ``teacher`` of a recipe become the losses of the task.

    Raises:
        DataError: if there are labels to learn from, and nothing that limbeck knows how to learn them with.
    """
    if recipe.outputs == "auto":
        _refuse_unknown(facts)
        return _automatic(facts)
    outputs, choice = _said(recipe, recipe.outputs, facts)
    _refuse_other_tokens(outputs, facts)
    return outputs, choice


def outputs_phrase(outputs: Sequence[OutputTerm]) -> str:
    """Output losses in one line, as the choice of them shows them."""
    return " + ".join(f"{term.share:g} x {term.loss}" for term in outputs) or "none"


def comparisons(facts: Facts) -> list[str]:
    """The shipped recipes without features that can be used here, for a comparison."""
    means = facts.task.means
    fits = {"soft-labels": means.teacher is not None and facts.same_outputs, "labels": means.labels is not None}
    return [name for name in _WITHOUT_FEATURES if fits[name]]


def _automatic(facts: Facts) -> tuple[Outputs, Choice]:
    means = facts.task.means
    labels = () if means.labels is None else (OutputTerm(loss=Part(kind=means.labels)),)
    softened = means.teacher in _SOFTENED
    soft = () if means.teacher is None else (OutputTerm(loss=_part(means.teacher, softened)),)
    found = f"student's logits {facts.student_shape}, teacher's {facts.teacher_shape}"
    if facts.answers_of_other_tokens:
        found += ", each for its own tokens"
    if not soft:
        return (), _choice((), f"{facts.task.kind.value} ({facts.task.reason}): features alone")
    if not labels and not facts.same_outputs:
        return (), _choice((), f"no labels and no common answer ({found}): features alone")
    if not labels:
        return soft, _choice(soft, "no labels, but both models answer in the same shape")
    if not facts.same_outputs:
        return labels, _choice(labels, f"the models answer in different classes ({found})")
    if not softened:
        return labels, _choice(labels, "numbers are learnt from the labels; the teacher's error is not added")
    half = tuple(term.model_copy(update={"share": 0.5}) for term in (*labels, *soft))
    rules = {
        outputs_phrase(half): f"below {FEW_LABELS} labels",
        outputs_phrase(labels): f"from {FEW_LABELS} labels on",
    }
    if facts.samples is not None and facts.samples < FEW_LABELS:
        return half, _choice(half, f"{facts.samples} labels, fewer than {FEW_LABELS}: soft labels help", rules)
    amount = "a stream" if facts.samples is None else f"{facts.samples} labels"
    return labels, _choice(labels, f"{amount}: with {FEW_LABELS} or more plain labels do as well", rules)


def _said(recipe: Recipe, said: Outputs, facts: Facts) -> tuple[Outputs, Choice]:
    """What the recipe says, with the losses of this task in the places of ``labels`` and ``teacher``."""
    means = facts.task.means
    losses = {LABELS: "Given" if facts.own_loss else means.labels, TEACHER: means.teacher}
    asked = [term.loss.kind for term in said if term.loss.kind in losses]
    if not asked:
        return said, _choice(said, recipe.reason("outputs"))
    if LABELS in asked:
        _refuse_unknown(facts)
    reason = f"{recipe.reason('outputs')}; for {facts.task.kind.value}"
    found: list[OutputTerm] = []
    for term in said:
        kind = losses.get(term.loss.kind, term.loss.kind)
        if kind is None:
            reason += f", without what has nothing to learn from: {term.loss} ({facts.task.reason})"
            continue
        loss, left_out = (term.loss, "") if kind == term.loss.kind else _filled(term.loss, kind)
        reason += left_out
        found.append(term.model_copy(update={"loss": loss}))
    return tuple(found), _choice(tuple(found), reason)


def _filled(part: Part, kind: str) -> tuple[Part, str]:
    """The part as one of ``kind``, and what to say of options that it cannot have, such as a number's temperature."""
    known = () if kind == "Given" else inspect.signature(getattr(limbeck.outputs, kind)).parameters
    kept = {name: value for name, value in part.options.items() if name in known}
    lost = sorted(set(part.options) - set(kept))
    return Part(kind=kind, **kept), f", where {kind} has no {' and no '.join(lost)}" if lost else ""


def _refuse_unknown(facts: Facts) -> None:
    # A student without logits cannot learn labels of any form: that is no fault of theirs.
    if facts.task.kind is not Kind.UNKNOWN or facts.own_loss or facts.student_shape is None:
        return
    raise DataError(
        "Labels must be of a form that is known, so that a loss can be chosen for them. Found "
        f"{facts.task.reason}. Give class numbers (whole numbers, one for each answer), or numbers in the shape of the "
        "logits, by adapt=lambda raw: limbeck.Batch(inputs, targets); or your own task_loss=; or leave the labels out; "
        "or learn from features alone (recipe='features')."
    )


def _refuse_other_tokens(outputs: Outputs, facts: Facts) -> None:
    if not facts.answers_of_other_tokens:
        return
    kinds = [term.loss.kind for term in outputs if "teacher_output" in term.loss.resolve(limbeck.outputs).requires]
    if kinds:
        raise PlanMismatch(
            f"{' and '.join(kinds)} needs an answer of the teacher's for each of the student's tokens. Found a teacher "
            "with inputs of its own (teacher_inputs), which answers for other tokens. Learn from labels and pooled "
            "features (recipe='auto'), or give both models one tokenizer."
        )


def _part(kind: str, softened: bool) -> Part:
    return Part(kind=kind, temperature=4.0) if softened else Part(kind=kind)


def _choice(outputs: Outputs, reason: str, candidates: dict[str, Any] | None = None) -> Choice:
    return Choice("output loss", outputs_phrase(outputs), reason, candidates or {})
