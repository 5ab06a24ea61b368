import math

import pytest
import torch

from limbeck.context import Context
from limbeck.errors import DataError, ShapeMismatch
from limbeck.outputs import BinaryCrossEntropy, CrossEntropy, SoftLabels


def test_value_by_hand():
    # sigma(0) = 1/2 costs log 2; sigma(log 3) = 3/4 costs log 4 where the label is 0.
    context = Context(torch.tensor([1, 0]), student_output=torch.tensor([[0.0], [math.log(3.0)]]))
    assert BinaryCrossEntropy()(context).item() == pytest.approx((math.log(2) + math.log(4)) / 2, rel=1e-6)


def test_value_is_the_mean_over_all_labels_in_loops():
    logits, labels = torch.randn(3, 4), torch.rand(3, 4)
    expected = 0.0
    for z, y in zip(logits.flatten().tolist(), labels.flatten().tolist(), strict=True):
        p = 1 / (1 + math.exp(-z))
        expected -= (y * math.log(p) + (1 - y) * math.log(1 - p)) / 12
    assert BinaryCrossEntropy()(Context(labels, student_output=logits)).item() == pytest.approx(expected, rel=1e-5)


def test_an_ignored_label_does_not_count():
    logits = torch.tensor([[0.0, 9.0]])
    value = BinaryCrossEntropy()(Context(torch.tensor([[1, -100]]), student_output=logits))
    assert value.item() == pytest.approx(math.log(2), rel=1e-6)
    assert BinaryCrossEntropy()(Context(torch.tensor([[-100, -100]]), student_output=logits)) == 0


@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_an_axis_of_one_does_not_matter(shape):
    labels = torch.tensor([0, 1, 1, 0])
    logits = torch.tensor([1.0, 2.0, -1.0, 0.5])
    flat = BinaryCrossEntropy()(Context(labels, student_output=logits))
    assert BinaryCrossEntropy()(Context(labels.reshape(shape), student_output=logits[:, None])) == flat


def test_labels_that_do_not_fit_are_refused():
    with pytest.raises(ShapeMismatch, match=r"\(4, 3\).*\(4,\).*CrossEntropy"):
        BinaryCrossEntropy()(Context(torch.zeros(4), student_output=torch.zeros(4, 3)))
    with pytest.raises(DataError, match="tensor of labels. Found list"):
        BinaryCrossEntropy()(Context([1, 0], student_output=torch.zeros(2, 1)))


def test_losses_of_classes_name_it_where_there_is_one_logit():
    one = torch.zeros(4, 1)
    with pytest.raises(ShapeMismatch, match="BinaryCrossEntropy"):
        CrossEntropy()(Context(torch.zeros(4, dtype=torch.long), student_output=one))
    with pytest.raises(ShapeMismatch, match="BinarySoftLabels"):
        SoftLabels()(Context(student_output=one, teacher_output=one))
