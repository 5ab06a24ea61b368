"""Looks at validation data."""

import pytest
import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from limbeck.balancers import Fixed
from limbeck.batch import adapt_batch, read_logits
from limbeck.distiller import Distiller, Term
from limbeck.errors import DataError
from limbeck.links import FeatureSpec, Link
from limbeck.losses import CKA
from limbeck.outputs import CrossEntropy
from limbeck.teachers import Teacher
from limbeck.training.evaluation import Judge, evaluate, score
from limbeck.training.metrics import accuracy


def comparing() -> tuple[Distiller, Teacher]:
    """A student that is compared sample by sample, for which a batch needs four."""
    teacher, student = (nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 3)) for width in (8, 6))
    link = Link(FeatureSpec("1", "BC", 6), FeatureSpec("1", "BC", 8))
    balancer = Fixed(["feature", "output"], feature=1.0, output=1.0)
    distiller = Distiller(student, terms=[Term(link, loss=CKA())], outputs=[CrossEntropy()], balancer=balancer)
    return distiller, Teacher(teacher, [link.teacher])


def run(distiller, source, loader, metric=accuracy):
    with source:
        judge = Judge(distiller, source, metric, Accelerator(cpu=True))
        return evaluate([judge], loader, adapt=adapt_batch)[0]


def data(count: int, batch_size: int) -> DataLoader:
    return DataLoader(TensorDataset(torch.randn(count, 4), torch.randint(0, 3, (count,))), batch_size=batch_size)


def test_a_last_batch_too_small_for_the_losses_counts_for_the_metric_only():
    distiller, source = comparing()
    loader = data(9, 8)
    found = run(distiller, source, loader)
    assert found.samples == 9
    inputs, labels = loader.dataset.tensors
    assert found.metric == pytest.approx((distiller.student(inputs).argmax(1) == labels).float().mean().item())
    whole = run(distiller, Teacher(source.model, distiller.teacher_sites), data_of(loader, 8))
    assert found.loss == pytest.approx(whole.loss, rel=1e-5)


def data_of(loader: DataLoader, count: int) -> DataLoader:
    return DataLoader(TensorDataset(*(each[:count] for each in loader.dataset.tensors)), batch_size=count)


def test_nothing_to_judge_is_an_error_that_says_so():
    distiller, source = comparing()
    with pytest.raises(DataError, match="a batch of at least 4 samples"):
        run(distiller, source, data(3, 1))
    distiller, source = comparing()
    with pytest.raises(DataError, match="batch of at least"):
        run(distiller, source, [])
    ignored = [(torch.randn(8, 4), torch.full((8,), -100))]
    with pytest.raises(DataError, match="a labelled answer"):
        run(*comparing(), ignored)


def test_answers_without_a_label_are_no_wrong_answers():
    model = nn.Linear(4, 3)
    inputs = torch.randn(8, 4)
    right = model(inputs).argmax(1)
    batches = [(inputs, right), (inputs, torch.full((8,), -100))]
    found = score(model, batches, metric=accuracy, adapt=adapt_batch, read_output=read_logits)
    assert found == 1.0
    distiller = Distiller(model, outputs=[CrossEntropy()], balancer=Fixed(["output"], output=1.0))
    assert run(distiller, Teacher(nn.Linear(4, 3)), batches).metric == 1.0


def test_a_score_of_nothing_is_an_error():
    with pytest.raises(DataError, match="at least one labelled answer"):
        score(nn.Linear(4, 3), [], metric=accuracy, adapt=adapt_batch, read_output=read_logits)
