import numpy as np
import pytest
import torch

from limbeck.features import Feature
from limbeck.losses import PKD


def test_value_by_hand():
    student, teacher = Feature(torch.tensor([[[3.0, 4.0]]])), Feature(torch.tensor([[[5.0, 0.0]]]))
    assert PKD()(student, teacher).item() == pytest.approx((0.4**2 + 0.8**2) / 2, rel=1e-5)  # (0.6, 0.8) and (1, 0)


def test_value_by_loops_on_the_class_token():
    student, teacher = torch.randn(3, 6, 4), torch.randn(3, 9, 4)
    total = 0.0
    for s, t in zip(student[:, 0].cpu().numpy(), teacher[:, 0].cpu().numpy(), strict=True):
        total += ((s / np.sqrt((s**2).sum()) - t / np.sqrt((t**2).sum())) ** 2).sum()
    found = PKD()(Feature(student, (5,), 1, summary=0), Feature(teacher, (8,), 1, summary=0))
    assert found.item() == pytest.approx(total / (3 * 4), rel=1e-5)  # the mean of the official code


def test_mean_is_compared_where_the_head_reads_that():
    student, teacher = torch.randn(2, 6, 4), torch.randn(2, 1, 4)
    whole, pooled = (PKD()(Feature(x), Feature(teacher)).item() for x in (student, student.mean(1, keepdim=True)))
    assert whole == pytest.approx(pooled, rel=1e-5)
