"""Has the teacher anything to teach on this data?"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from limbeck.batch import Adapt, ReadOutput, call, move
from limbeck.choice import Choice
from limbeck.errors import TeacherError
from limbeck.evaluating import evaluating

SAMPLES = 512


@torch.no_grad()
def check_teacher(
    teacher: nn.Module, data: Iterable[Any], *, adapt: Adapt, read_output: ReadOutput, answers_taught: bool = True
) -> Choice | None:
    """Compare the teacher's answers with the labels on a few hundred samples.

    Args:
        teacher: judged in evaluation mode.
        data: labelled batches.
        adapt: turns what the loader yields into a batch.
        read_output: takes the logits from what the teacher returned.
        answers_taught: whether the student learns from the answers too: for features alone the order of the teacher's
            classes does not matter.

    Returns:
        What was found, for the plan; ``None`` if labels and logits cannot be compared.

    Raises:
        TeacherError: if it answers no better than always naming the most frequent class, to within two standard
            errors; says whether its classes look permuted.
    """
    answers, labels = _answers(teacher, data, adapt, read_output)
    if answers is None or labels is None or len(labels) < 20:
        return None
    right = (answers == labels).float().mean().item()
    chance = labels.bincount().max().item() / len(labels)
    error = math.sqrt(chance * (1 - chance) / len(labels))
    if right > chance + 2 * error:
        reason = f"on {len(labels)} labelled samples; always naming the most frequent class gives {chance:.3f}"
        return Choice("teacher accuracy", round(right, 4), reason)
    best = _relabelled(answers, labels)
    found = (
        f"Found accuracy {right:.3f} on {len(labels)} samples, where always naming the most frequent class gives "
        f"{chance:.3f}."
    )
    renamed = best > chance + max(4 * error, 0.2)
    if renamed and not answers_taught:
        reason = f"on {len(labels)} samples with its classes renamed; features do not depend on their order"
        return Choice("teacher accuracy", round(best, 4), reason)
    if renamed:
        raise TeacherError(
            f"The teacher's classes must be the labels' classes. {found} With its classes renamed it would reach "
            f"{best:.3f}: they are in another order. Permute the labels or the teacher's last layer, or distil "
            "features only (recipe='features')."
        )
    raise TeacherError(
        f"The teacher must know the task better than chance. {found} Check that its weights are loaded "
        "(--teacher-weights) and that its inputs are normalised as in its own training; to go on all the same, give "
        "check_teacher=False (--no-check-teacher)."
    )


def _answers(
    teacher: nn.Module, data: Iterable[Any], adapt: Adapt, read_output: ReadOutput
) -> tuple[Tensor | None, Tensor | None]:
    device = next((each.device for each in teacher.parameters()), torch.device("cpu"))
    answers, labels, seen = [], [], 0
    with evaluating(teacher):
        for raw in data:
            batch = adapt(move(raw, device))
            logits, targets = read_output(call(teacher, batch.inputs)), batch.targets
            if not isinstance(logits, Tensor) or not isinstance(targets, Tensor) or targets.is_floating_point():
                return None, None
            if logits.shape[:-1] != targets.shape or int(targets.max()) >= logits.shape[-1]:
                return None, None
            valid = targets >= 0
            answers.append(logits.argmax(-1)[valid])
            labels.append(targets[valid])
            seen += batch.size
            if seen >= SAMPLES:
                break
    return (torch.cat(answers), torch.cat(labels)) if answers else (None, None)


def _relabelled(answers: Tensor, labels: Tensor) -> float:
    """Accuracy if every class that the teacher names stood for the label it most often meets."""
    classes = int(max(answers.max(), labels.max())) + 1
    table = torch.zeros(classes, classes).index_put_((answers.cpu(), labels.cpu()), torch.tensor(1.0), accumulate=True)
    return table.max(1).values.sum().item() / len(labels)
