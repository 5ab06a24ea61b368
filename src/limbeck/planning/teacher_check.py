"""Has the teacher anything to teach on this data?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn

from limbeck.batch import Adapt, Batch, ReadOutput
from limbeck.choice import Choice
from limbeck.errors import TeacherError
from limbeck.outputs.labelled import labels_at_answers
from limbeck.planning.task import Task
from limbeck.progress import ProgressBar
from limbeck.teachers.feature_source import FeatureSource
from limbeck.training.evaluation import answers
from limbeck.training.loaders import spread
from limbeck.training.metrics import class_answers

SAMPLES = 512
_FEWEST = 20
# Below so many samples, an accuracy near chance proves nothing against the teacher.
_ENOUGH = 100
# A teacher that agrees with rare classes teaches something, though always naming the most frequent one is right more
# often: "fair agreement" (Landis & Koch, Biometrics 1977).
_FAIR_AGREEMENT = 0.2
_NAME = "teacher accuracy"


def check_teacher(
    teacher: nn.Module | FeatureSource,
    data: Sequence[Iterable[Any]],
    task: Task,
    *,
    adapt: Adapt,
    read_output: ReadOutput,
    answers_taught: bool = True,
    show: bool = True,
) -> Choice:
    """Compare the teacher's answers with the labels on a few hundred samples from all over the data.

    Args:
        teacher: judged in evaluation mode; or a source of its answers, such as a cache.
        data: loaders of labelled batches; a later one is used if those before have too few samples.
        task: how to read labels and answers.
        adapt: turns what a loader yields into a batch.
        read_output: takes the logits from what the teacher returned.
        answers_taught: whether the student learns from the answers too: for features alone the order of the teacher's
            classes does not matter.
        show: whether to show a progress bar on a terminal.

    Returns:
        What was found, for the plan; also where it could not be judged, with the reason.

    Raises:
        TeacherError: if it answers no better than always naming the most frequent class, to within two standard
            errors; says whether its classes are permuted.
        DataError: if labels are out of range.
    """
    if not task.means.judged:
        return _unchecked(f"the answers of this task are not right or wrong ({task.kind.value})")
    given, right, samples = _asked(teacher, _samples(data, task, adapt), read_output, show)
    if samples < _FEWEST:
        return _unchecked(f"only {samples} labelled samples; {_FEWEST} are needed")
    found = _Found(given, right, samples)
    if len(right.unique()) < 2:
        return _unchecked(f"all {samples} samples have the same label")
    if found.knows:
        return Choice(_NAME, round(found.accuracy, 4), found.basis)
    if samples < _ENOUGH and found.accuracy > found.chance:
        return _unchecked(f"accuracy {found.accuracy:.3f} {found.basis}: too few to tell")
    renamed = found.renamed() if found.enough_to_rename else None
    if answers_taught or (renamed is None and found.enough_to_rename):
        raise _error(found, renamed)
    if renamed is None:
        return _unchecked(f"accuracy {found.accuracy:.3f}, perhaps with its classes in another order, {found.basis}")
    reason = f"on {samples} samples with its classes renamed; features do not depend on their order"
    return Choice(_NAME, round(renamed, 4), reason)


def _unchecked(reason: str) -> Choice:
    return Choice(_NAME, "not checked", reason)


def _samples(data: Sequence[Iterable[Any]], task: Task, adapt: Adapt) -> Iterator[Batch]:
    """Labelled batches from all over the first loader, and from the next while there are too few."""
    seen = 0
    for loader in data:
        for batch in spread(loader, adapt, SAMPLES - seen):
            task.check_labels([batch], "labelled")
            seen += batch.size
            yield batch._replace(targets=labels_at_answers(batch.targets, batch.mask, next_token=task.next_token))
        if seen >= SAMPLES // 2:
            return


def _asked(
    teacher: nn.Module | FeatureSource, batches: Iterable[Batch], read_output: ReadOutput, show: bool
) -> tuple[Tensor, Tensor, int]:
    """Answers, labels, and the number of samples they came from."""
    given: list[Tensor] = []
    right: list[Tensor] = []
    samples = 0
    with ProgressBar("Checking the teacher", SAMPLES, show=show) as bar:
        for logits, targets in answers(teacher, batches, read_output):
            found = class_answers(logits, targets)
            given.append(found.given.cpu())
            right.append(found.right.cpu())
            # Positions of one map or text are alike: they count as one when chance is estimated.
            samples += min(len(targets), len(found.right))
            bar.advance(len(targets))
    if not given:
        return torch.zeros(0), torch.zeros(0), 0
    return torch.cat(given), torch.cat(right), samples


@dataclass(frozen=True)
class _Found:
    """Answers beside labels."""

    given: Int[Tensor, " n"]
    right: Int[Tensor, " n"]
    samples: int

    @property
    def accuracy(self) -> float:
        return (self.given == self.right).double().mean().item()

    @property
    def chance(self) -> float:
        """Accuracy of always naming the most frequent class."""
        return self.right.bincount().max().item() / len(self.right)

    @property
    def error(self) -> float:
        """Standard error of the accuracy of chance."""
        return math.sqrt(self.chance * (1 - self.chance) / self.samples)

    @property
    def agreement(self) -> float:
        """Cohen's kappa: accuracy beyond what answers of these frequencies would reach independently of the labels."""
        size = int(max(self.given.max(), self.right.max())) + 1
        shares = [each.bincount(minlength=size).double() / len(each) for each in (self.given, self.right)]
        expected = (shares[0] * shares[1]).sum().item()
        return (self.accuracy - expected) / max(1 - expected, 1e-9)

    @property
    def knows(self) -> bool:
        """Whether it is better than chance."""
        better = self.accuracy > self.chance + 2 * self.error
        return better or (self.agreement >= _FAIR_AGREEMENT and self.samples >= _ENOUGH)

    @property
    def basis(self) -> str:
        return f"on {self.samples} labelled samples; always naming the most frequent class gives {self.chance:.3f}"

    @property
    def enough_to_rename(self) -> bool:
        """Whether there are samples enough of each class to tell another order of the classes from ignorance."""
        return self.samples >= 10 * len(self.right.unique()) and len(self.given.unique()) <= self.samples

    def renamed(self) -> float | None:
        """Accuracy on one half with the classes renamed as suits the other half best; ``None`` unless that is good.

        Only a renaming one to one counts, and most answers must come right: a teacher that has merely learnt too
        little is not better under another name.
        """
        half = torch.arange(len(self.given)) % 2 == 0
        classes, numbers = torch.cat([self.given, self.right]).unique(return_inverse=True)
        given, right = numbers.chunk(2)
        size = len(classes)
        table = torch.zeros(size, size)
        table.index_put_((given[half], right[half]), torch.ones(()), accumulate=True)
        names = torch.full((size,), -1)
        for _ in range(size):
            best = int(table.argmax())
            if table.flatten()[best] <= 0:
                break
            mine, theirs = divmod(best, size)
            names[mine] = theirs
            table[mine], table[:, theirs] = -1, -1
        accuracy = (names[given[~half]] == right[~half]).double().mean().item()
        return accuracy if accuracy > max(0.5, self.chance + max(4 * self.error, 0.2)) else None


def _error(found: _Found, renamed: float | None) -> TeacherError:
    seen = (
        f"Found accuracy {found.accuracy:.3f} on {found.samples} samples, where always naming the most frequent class "
        f"gives {found.chance:.3f}."
    )
    if renamed is not None:
        return TeacherError(
            f"The teacher's classes must be the labels' classes. {seen} With its classes renamed it would reach "
            f"{renamed:.3f}: they are in another order. Permute the labels or the teacher's last layer, or distil "
            "features only (recipe='features')."
        )
    return TeacherError(
        f"The teacher must know the task better than chance. {seen} Check that its weights are loaded "
        "(--teacher-weights), that it is trained far enough, that its inputs are normalised as in its own training, "
        "and that its classes are in the order of the labels; to go on all the same, give check_teacher=False "
        "(--no-check-teacher)."
    )
