import numpy as np
import pytest
import torch

from limbeck.errors import ShapeMismatch
from limbeck.outputs import UniversalLogit
from tests.outputs.distributions import judged, softmax


def test_value_by_hand():
    # Sorted: (3/4, 1/4, 0) and (1/2, 1/2, 0).
    student, teacher = torch.tensor([[0.25, 0.75]]).log(), torch.tensor([[0.5, 0.0, 0.5]]).log()
    assert judged(UniversalLogit(), student, teacher) == pytest.approx(0.5, rel=1e-6)


@pytest.mark.parametrize("classes", [3, 5, 9])
def test_value_by_numpy_for_more_and_fewer_classes(classes):
    student, teacher = torch.randn(2, 3, 5), torch.randn(2, 3, classes)
    total = 0.0
    for s, t in zip(student.flatten(0, 1), teacher.flatten(0, 1), strict=True):
        q, p = (sorted(softmax(each), reverse=True) + [0.0] * (9 - len(each)) for each in (s, t))
        total += np.abs(np.subtract(p, q)).sum()
    assert judged(UniversalLogit(), student, teacher) == pytest.approx(total / 6, rel=1e-5)


def test_names_of_the_classes_do_not_matter():
    logits = torch.randn(4, 6)
    assert judged(UniversalLogit(), logits[:, torch.randperm(6)], logits) == pytest.approx(0.0, abs=1e-6)


def test_answers_of_another_number_are_refused():
    with pytest.raises(ShapeMismatch, match=r"\(2, 3, 5\).*\(2, 4, 7\)"):
        judged(UniversalLogit(), torch.randn(2, 3, 5), torch.randn(2, 4, 7))
