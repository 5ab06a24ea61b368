import numpy as np
import pytest
import torch

from limbeck.errors import ShapeMismatch
from limbeck.features import Feature
from limbeck.losses import NST


def test_value_by_hand():
    student = Feature(torch.tensor([[[1.0, 0.0], [0.0, 2.0]]]), (2,))
    teacher = Feature(torch.tensor([[[3.0], [3.0]]]), (2,))
    # Student's maps (1, 0) and (0, 1): mean of squares 1/2; teacher's (1, 1)/sqrt(2): 1; across: 1/2.
    assert NST()(student, teacher).item() == pytest.approx(1 + 0.5 - 2 * 0.5, rel=1e-5)


def test_value_by_loops():
    student, teacher = torch.randn(3, 6, 5), torch.randn(3, 6, 2)
    total = 0.0
    for s, t in zip(student.cpu().numpy(), teacher.cpu().numpy(), strict=True):
        s, t = ([channel / np.sqrt((channel**2).sum()) for channel in each.T] for each in (s, t))
        means = [np.mean([(a @ b) ** 2 for a in one for b in other]) for one, other in ((t, t), (s, s), (s, t))]
        total += means[0] + means[1] - 2 * means[2]
    found = NST()(Feature(student, (2, 3)), Feature(teacher, (2, 3)))
    assert found.item() == pytest.approx(total / 3, rel=1e-4)  # the formula of the paper


def test_order_sign_and_scale_of_channels_do_not_matter():
    student, teacher = torch.randn(3, 6, 5), Feature(torch.randn(3, 6, 4), (6,))
    other = student[..., torch.tensor([4, 2, 0, 1, 3])] * torch.tensor([1.0, -1.0, 20.0, 3.0, 0.1])
    found, expected = (NST()(Feature(x, (6,)), teacher).item() for x in (other, student))
    assert found == pytest.approx(expected, rel=1e-4)


def test_prefix_tokens_take_no_part():
    x, teacher = torch.randn(2, 5, 3), Feature(torch.randn(2, 5, 4), (5,))
    with_class_token = Feature(torch.cat([100 * torch.ones(2, 1, 3), x], 1), (5,), prefix=1)
    assert NST()(with_class_token, teacher).item() == pytest.approx(NST()(Feature(x, (5,)), teacher).item(), rel=1e-5)


def test_sample_without_valid_positions_does_not_count():
    student, teacher = torch.randn(2, 5, 3), torch.randn(2, 5, 4)
    mask = torch.ones(2, 5, dtype=torch.bool)
    mask[1] = False
    found = NST()(Feature(student, (5,), mask=mask), Feature(teacher, (5,)))
    expected = NST()(Feature(student[:1], (5,)), Feature(teacher[:1], (5,)))
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_single_position_is_refused_instead_of_giving_zero():
    feature = Feature(torch.randn(2, 1, 3), (1, 1))
    with pytest.raises(ShapeMismatch, match="at least 2 positions"):
        NST()(feature, feature)
