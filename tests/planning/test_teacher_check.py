"""A teacher is judged on samples from all over the data, and only where that means something."""

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, Subset, TensorDataset

import limbeck
from limbeck.batch import Batch, adapt_batch, read_logits
from limbeck.errors import DataError, TeacherError
from limbeck.planning.task import Task
from limbeck.planning.teacher_check import check_teacher
from tests.toys import conv_net, images, loader, pair, trained

CLASSES = 10


class Table(nn.Module):
    """Answers what stands in its table; the input is the sample's number."""

    def __init__(self, answers: torch.Tensor, classes: int = CLASSES) -> None:
        super().__init__()
        self.answers = nn.Buffer(nn.functional.one_hot(answers, classes).float())

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        return self.answers[numbers[:, 0]]


def data(labels: torch.Tensor, **options) -> DataLoader:
    return DataLoader(TensorDataset(torch.arange(len(labels))[:, None], labels), batch_size=50, **options)


def check(answers: torch.Tensor, labels: torch.Tensor, *loaders, classes: int = CLASSES, **options):
    task = Task.read([Batch(torch.zeros(len(labels), 1), labels)], (2, classes))
    given = loaders or (data(labels),)
    return check_teacher(
        Table(answers, classes), given, task, adapt=adapt_batch, read_output=read_logits, show=False, **options
    )


SORTED = torch.arange(CLASSES).repeat_interleave(500)


def mostly(labels: torch.Tensor, share: float, classes: int = CLASSES) -> torch.Tensor:
    """The labels, of which all but a share are drawn anew."""
    anew = torch.randint(0, classes, labels.shape, generator=torch.Generator().manual_seed(4))
    return torch.where(torch.rand(labels.shape, generator=torch.Generator().manual_seed(5)) < share, labels, anew)


def test_data_sorted_by_class_is_judged_by_all_its_classes():
    found = check(mostly(SORTED, 0.8), SORTED)
    assert found.value == pytest.approx(0.82, abs=0.06)
    assert "512 labelled samples" in found.reason


def test_a_sorted_list_of_batches_is_judged_by_all_its_classes():
    batches = list(data(SORTED))
    assert check(mostly(SORTED, 0.8), SORTED, batches).value == pytest.approx(0.82, abs=0.06)


def test_a_teacher_that_knows_nothing_is_refused():
    with pytest.raises(TeacherError, match="better than chance"):
        check(mostly(SORTED, 0.0), SORTED)
    with pytest.raises(TeacherError, match="better than chance"):
        check(torch.full_like(SORTED, 3), SORTED)


def test_permuted_classes_are_refused_unless_only_features_are_taught():
    permuted = (mostly(SORTED, 0.8) + 3) % CLASSES
    with pytest.raises(TeacherError, match="in another order"):
        check(permuted, SORTED)
    assert "renamed" in check(permuted, SORTED, answers_taught=False).reason
    with pytest.raises(TeacherError, match="better than chance"):
        check(mostly(SORTED, 0.0), SORTED, answers_taught=False)


def test_a_teacher_that_has_learnt_too_little_is_not_called_permuted():
    # It tells two groups of classes apart, but names the wrong class of the other group.
    groups = torch.where(SORTED < 5, 7, 2)
    with pytest.raises(TeacherError, match="trained far enough") as error:
        check(groups, SORTED)
    assert "they are in another order" not in str(error.value)


def test_a_teacher_of_rare_classes_is_worth_more_than_the_frequent_one():
    # 95 % of one class: 0.94 is below always naming it, but the rare classes are found.
    labels = torch.zeros(4000, dtype=torch.long)
    labels[::20] = 1
    answers = labels.clone()
    answers[1::20] = 1
    answers[::40] = 0
    found = check(answers, labels, classes=2)
    assert found.value < 0.95


def test_too_few_samples_are_said_and_the_training_data_helps():
    labels = torch.arange(12) % 4
    assert check(labels, labels).value == "not checked"
    assert "only 12 labelled samples" in check(labels, labels).reason
    more = torch.arange(200) % 4
    found = check(more, more, data(more[:12]), data(more))
    assert found.value == 1.0
    assert "212 labelled samples" in found.reason


def test_one_class_alone_says_nothing():
    class Stream(IterableDataset):
        def __iter__(self):
            yield from TensorDataset(torch.arange(1000)[:, None], torch.zeros(1000, dtype=torch.long))

    found = check(SORTED, SORTED, DataLoader(Stream(), batch_size=50))
    assert (found.value, "same label" in found.reason) == ("not checked", True)


def test_regression_and_several_labels_are_said_not_to_be_checked():
    labels = torch.randn(64)
    task = Task.read([Batch(labels, labels)], (64, 1))
    found = check_teacher(nn.Identity(), [data(labels)], task, adapt=adapt_batch, read_output=read_logits)
    assert found.value == "not checked"
    assert "regression" in found.reason


def test_labels_out_of_range_are_found_all_over_the_data():
    labels = SORTED.clone()
    labels[-500:] = 10
    with pytest.raises(DataError, match="Found 10"):
        check(SORTED, labels)


def test_a_validation_set_sorted_by_class_lets_a_good_teacher_pass():
    teacher, (_, student) = trained(conv_net(8)), pair()
    held = images(1200, seed=3)
    held = Subset(held, held.tensors[1].argsort().tolist())
    options = {"validation": DataLoader(held, batch_size=16), "steps": 2, "lr": 0.01, "progress": False}
    report = limbeck.distill(teacher, student, loader(), **options)
    assert next(choice for choice in report.plan.choices if choice.name == "teacher accuracy").value > 0.8
    with pytest.raises(TeacherError):
        limbeck.distill(conv_net(8), pair()[1], loader(), **options)


def test_pixels_of_one_map_count_as_one_sample():
    labels = torch.randint(0, 3, (8, 6, 6))
    task = Task.read([Batch(torch.zeros(8, 1), labels)], (8, 3, 6, 6))
    teacher = nn.Sequential(nn.Unflatten(1, (1, 6, 6)), nn.Conv2d(1, 3, 1))
    given = [DataLoader(TensorDataset(torch.randn(8, 36), labels), batch_size=4)]
    found = check_teacher(teacher, given, task, adapt=adapt_batch, read_output=read_logits)
    assert "only 8 labelled samples" in found.reason
