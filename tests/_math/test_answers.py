import numpy as np
import pytest
import torch

from limbeck._math.answers import answer_rows, divergence


def test_tokens_and_pixels_become_rows_in_the_order_of_their_labels():
    logits = torch.arange(24.0).reshape(1, 2, 3, 4)  # two classes on a map of 3 x 4
    rows = answer_rows(logits)
    assert rows.shape == (12, 2)
    assert rows[5].tolist() == [5.0, 17.0]  # both classes of pixel 5
    assert answer_rows(torch.arange(6.0).reshape(1, 3, 2))[1].tolist() == [2.0, 3.0]  # both classes of token 1


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_divergence_is_kullback_leibler_times_the_squared_temperature(temperature):
    student, teacher = torch.randn(3, 5), torch.randn(3, 5)
    p, q = (np.exp(each.cpu().numpy() / temperature) for each in (teacher, student))
    p, q = p / p.sum(1, keepdims=True), q / q.sum(1, keepdims=True)
    expected = temperature**2 * (p * np.log(p / q)).sum(1)  # the definition, in numpy
    assert np.allclose(divergence(student, teacher, temperature=temperature).cpu().numpy(), expected, atol=1e-5)


def test_divergence_is_finite_where_the_teacher_rules_a_class_out():
    found = divergence(torch.zeros(1, 2), torch.tensor([[0.0, -1e4]]), temperature=1.0)
    assert found.item() == pytest.approx(np.log(2), rel=1e-6)  # KL of (1, 0) to (1/2, 1/2)
