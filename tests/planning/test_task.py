"""What kind of task labels and logits make together, and what it is learnt and measured with."""

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import limbeck
from limbeck.batch import Batch
from limbeck.errors import DataError, RecipeError
from limbeck.planning.task import Kind, Task
from limbeck.training.metrics import METRICS

X = torch.zeros(6, 2)
HOT = torch.eye(3).repeat(2, 1)
SEVERAL = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]).repeat(3, 1)
YES = torch.tensor([0, 1, 1, 0, 1, 0])
PIXELS = torch.randint(0, 3, (6, 4, 5))

KINDS = [
    (torch.tensor([0, 2, 1, 1, 0, 2]), (6, 3), Kind.CLASSES),
    (torch.tensor([0, -100, 1, 1, 0, 2]), (6, 3), Kind.CLASSES),
    (YES.bool(), (6, 2), Kind.CLASSES),
    (torch.randint(0, 3, (6, 7)), (6, 7, 3), Kind.DENSE),
    (PIXELS, (6, 3, 4, 5), Kind.DENSE),
    (HOT, (6, 3), Kind.SOFT),
    (HOT.long(), (6, 3), Kind.SOFT),
    (0.9 * HOT + 0.1 / 3, (6, 3), Kind.SOFT),
    (YES, (6, 1), Kind.BINARY),
    (YES.float(), (6,), Kind.BINARY),
    (YES.float()[:, None], (6, 1), Kind.BINARY),
    ((PIXELS > 1).float()[:, None], (6, 1, 4, 5), Kind.BINARY),
    ((PIXELS > 1).long(), (6, 1, 4, 5), Kind.BINARY),
    (SEVERAL, (6, 3), Kind.LABELS),
    (SEVERAL.long(), (6, 3), Kind.LABELS),
    (torch.linspace(0, 1, 6), (6, 1), Kind.REGRESSION),
    (torch.linspace(0, 1, 6)[:, None], (6, 1), Kind.REGRESSION),
    (torch.arange(6), (6, 1), Kind.REGRESSION),
    (torch.randn(6, 3), (6, 3), Kind.REGRESSION),
    (torch.rand(6, 3), (6, 3), Kind.REGRESSION),
    (None, (6, 3), Kind.UNLABELLED),
    (torch.tensor([[0], [2], [1], [1], [0], [2]]), (6, 3), Kind.UNKNOWN),
    (torch.rand(6), (6, 3), Kind.UNKNOWN),
    ({"boxes": torch.zeros(3, 4)}, (6, 3), Kind.UNKNOWN),
    (YES, None, Kind.UNKNOWN),
]


@pytest.mark.parametrize(("targets", "answer", "kind"), KINDS, ids=lambda each: getattr(each, "name", ""))
def test_the_kind_follows_from_labels_and_logits(targets, answer, kind):
    task = Task.read([Batch(X, targets)], answer)
    assert task.kind is kind
    assert task.choice.value == kind.value
    assert task.choice.reason


def test_tokens_that_a_model_shifts_itself_are_its_own():
    labels = Batch({"input_ids": X}, torch.zeros(6, 7, dtype=torch.long))
    assert Task.read([labels], (6, 7, 30), takes_labels=True).kind is Kind.OWN
    assert Task.read([labels], (6, 7, 30)).kind is Kind.DENSE


def test_every_batch_is_asked():
    first, later = Batch(X, YES.float()), Batch(X, torch.linspace(0, 3, 6))
    assert Task.read([first], (6, 1)).kind is Kind.BINARY
    assert Task.read([first, later], (6, 1)).kind is Kind.REGRESSION


def test_the_metric_suits_the_task():
    def metric(targets, answer, name="auto"):
        return Task.read([Batch(X, targets)], answer).metric(name)

    assert metric(YES, (6, 2)) == ("accuracy", METRICS["accuracy"])
    assert metric(SEVERAL, (6, 3), "accuracy") == ("label_accuracy", METRICS["label_accuracy"])
    assert metric(torch.randn(6), (6, 1)) == ("negative_error", METRICS["negative_error"])
    assert metric(None, (6, 3)) == metric(None, (6, 3), "accuracy") == ("minus the loss", None)
    assert metric(YES, (6, 2), len) == ("metric", len)
    with pytest.raises(RecipeError, match="regression.*Found 'accuracy'.*'negative_error'"):
        metric(torch.randn(6), (6, 1), "accuracy")
    with pytest.raises(RecipeError, match="no metric 'acc'"):
        metric(YES, (6, 2), "acc")


def test_labels_out_of_range_and_not_finite_are_named():
    task = Task.read([Batch(X, torch.tensor([0, 2, 1, 1, 0, 2]))], (6, 3))
    task.check_labels([Batch(X, torch.tensor([0, -100]))], "training")
    with pytest.raises(DataError, match=r"validation data.*from 0 to 2.*Found 255.*replace.*by -100"):
        task.check_labels([Batch(X, torch.tensor([0, 255]))], "validation")
    with pytest.raises(DataError, match="Found -1"):
        task.check_labels([Batch(X, torch.tensor([0, -1]))], "training")
    numbers = Task.read([Batch(X, torch.randn(6))], (6, 1))
    with pytest.raises(DataError, match="1 that are NaN"):
        numbers.check_labels([Batch(X, torch.tensor([0.0, torch.nan]))], "training")


def nets(width: int, out: int, *, maps: bool = False) -> nn.Module:
    if maps:
        return nn.Sequential(nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, out, 1))
    return nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, out))


INPUTS = torch.randn(64, 4, generator=torch.Generator().manual_seed(1))
TASKS = {
    "binary": (1, (INPUTS[:, 0] > 0).long(), ["BinaryCrossEntropy", "BinarySoftLabels"], "accuracy"),
    "several labels": (2, (INPUTS[:, :2] > 0).float(), ["BinaryCrossEntropy", "BinarySoftLabels"], "label_accuracy"),
    "shares": (
        3, torch.softmax(INPUTS[:, :3], 1), ["CrossEntropy", "SoftLabels"], "accuracy",
    ),
    "regression": (1, INPUTS.sum(1), ["SquaredError"], "negative_error"),
    "several numbers": (2, INPUTS[:, :2] * 3, ["SquaredError"], "negative_error"),
}  # fmt: skip


@pytest.mark.parametrize("name", TASKS)
def test_every_task_is_distilled_with_nothing_chosen_by_hand(name):
    out, labels, losses, metric = TASKS[name]
    data = DataLoader(TensorDataset(INPUTS, labels), batch_size=16)
    student = nets(8, out)
    report = limbeck.distill(nets(16, out), student, data, steps=40, lr=0.01, check_teacher=False, progress=False)
    assert [term.loss.kind for term in report.plan.outputs] == losses
    assert report.metric == metric
    assert "task" in {choice.name for choice in report.plan.choices}
    assert report.evaluation.samples >= 6


def test_maps_of_classes_are_distilled():
    pictures = torch.randn(32, 1, 6, 6)
    labels = (pictures[:, 0] > 0).long()
    labels[:, 0] = -100
    data = DataLoader(TensorDataset(pictures, labels), batch_size=8)
    report = limbeck.distill(
        nets(8, 3, maps=True), nets(4, 3, maps=True), data, steps=60, lr=0.03, check_teacher=False, progress=False
    )
    assert report.metric == "accuracy"
    assert report.evaluation.metric > 0.5


def test_unlabelled_numbers_are_learnt_from_the_teachers():
    data = DataLoader(INPUTS, batch_size=16)
    plan = limbeck.plan(nets(16, 1), nets(8, 1), data)
    assert [term.loss.kind for term in plan.outputs] == ["LogitMSE"]


def test_ones_own_task_loss_takes_the_place_of_the_chosen_one():
    data = DataLoader(TensorDataset(INPUTS, INPUTS.sum(1)), batch_size=16)
    report = limbeck.distill(
        nets(16, 1), nets(8, 1), data, steps=2, lr=0.01, progress=False,
        task_loss=lambda logits, labels: nn.functional.l1_loss(logits[:, 0], labels),
    )  # fmt: skip
    assert [term.loss.kind for term in report.plan.outputs] == ["Given"]
