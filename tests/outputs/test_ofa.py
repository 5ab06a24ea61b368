import math

import numpy as np
import pytest
import torch

from limbeck.context import Context
from limbeck.errors import RecipeError
from limbeck.outputs import OFA, SoftLabels
from tests.outputs.distributions import judged, softmax


def test_value_by_hand():
    # The teacher says (3/4, 1/4), the student (1/2, 1/2); the label is the first.
    teacher = torch.tensor([[0.75, 0.25]]).log()
    expected = (1.75**2 - 1 + 0.25**2) * math.log(2)
    assert judged(OFA(gamma=2.0), [[0.0, 0.0]], teacher, torch.tensor([0])) == pytest.approx(expected, rel=1e-5)


def test_value_by_loops():
    student, teacher, labels = torch.randn(6, 5), torch.randn(6, 5), torch.randint(0, 5, (6,))
    p, logs = softmax(teacher, 2.0), np.log(softmax(student, 2.0))
    values = [
        -sum(((p[m, k] + (k == y)) ** 1.2 - (k == y)) * logs[m, k] for k in range(5))
        for m, y in enumerate(labels.tolist())
    ]
    found = judged(OFA(gamma=1.2, temperature=2.0), student, teacher, labels)
    assert found == pytest.approx(np.mean(values), rel=1e-5)


def test_gradient_without_enhancement_is_that_of_soft_labels():
    gradients = []
    for loss in (OFA(gamma=1.0), SoftLabels(temperature=1.0)):
        student = torch.arange(12.0).sin().reshape(3, 4).requires_grad_()
        teacher = torch.arange(12.0).cos().reshape(3, 4)
        loss(Context(torch.tensor([0, 3, 1]), student_output=student, teacher_output=teacher)).backward()
        gradients.append(student.grad)
    torch.testing.assert_close(*gradients)


def test_gamma_that_would_weaken_the_label_is_refused():
    with pytest.raises(RecipeError, match=r"gamma 0\.5"):
        OFA(gamma=0.5)
