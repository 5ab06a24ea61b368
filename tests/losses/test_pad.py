import math

import pytest
import torch

from limbeck.errors import RecipeError
from limbeck.features import Feature
from limbeck.losses import MSE, PAD


def with_bias(value: float, channels: int = 2, **options) -> PAD:
    loss = PAD(channels, **options)
    torch.nn.init.constant_(loss.log_variance.bias, value)
    return loss


def test_starts_as_the_mean_squared_error():
    student, teacher = Feature(torch.randn(4, 3, 2)), Feature(torch.randn(4, 3, 2))
    assert PAD(2)(student, teacher).item() == pytest.approx(MSE()(student, teacher).item(), rel=1e-6)


def test_value_by_hand():
    student, teacher = Feature(torch.tensor([[[1.0, 2.0]]])), Feature(torch.tensor([[[4.0, 0.0]]]))
    # Error 6.5, log-variance log 2 everywhere: 6.5 / 2 + log 2.
    assert with_bias(math.log(2))(student, teacher).item() == pytest.approx(3.25 + math.log(2), rel=1e-6)


def test_value_by_loops_over_samples_and_valid_positions():
    loss = PAD(2)
    torch.nn.init.normal_(loss.log_variance.weight)
    student, teacher = torch.randn(3, 4, 2), torch.randn(3, 4, 2)
    mask = torch.tensor([[True] * 4, [True, False, True, False], [False, False, False, True]])
    total = 0.0
    for s, t, valid in zip(student, teacher, mask, strict=True):
        log_variance = float(s[valid].mean(0) @ loss.log_variance.weight[0].detach())
        error = sum(((s[n] - t[n]) ** 2).mean().item() for n in range(4) if valid[n]) / int(valid.sum())
        total += math.exp(-log_variance) * error + log_variance
    found = loss(Feature(student, (4,), mask=mask), Feature(teacher, (4,)))
    assert found.item() == pytest.approx(total / 3, rel=1e-5)  # the formula, one sample at a time


def test_the_variance_learns_which_samples_cannot_be_fitted():
    loss = PAD(2)
    student = torch.zeros(64, 1, 2)
    student[:32, 0, 0] = 1.0  # what tells the two halves apart
    teacher = student + torch.randn(64, 1, 2) * torch.tensor([3.0] * 32 + [0.3] * 32).view(64, 1, 1)
    optimizer = torch.optim.Adam(loss.parameters(), lr=0.1)
    for _ in range(200):
        optimizer.zero_grad()
        loss(Feature(student), Feature(teacher)).backward()
        optimizer.step()
    learnt = loss.log_variance(student.squeeze(1)).exp().detach()
    # At the best variances each is the mean squared error of those samples that the head cannot tell apart.
    assert learnt[:32].mean().item() == pytest.approx((student - teacher)[:32].square().mean().item(), rel=0.05)
    assert learnt[32:].mean().item() == pytest.approx((student - teacher)[32:].square().mean().item(), rel=0.05)


def test_the_log_variance_stays_within_its_limit():
    student, teacher = Feature(torch.zeros(1, 1, 2)), Feature(torch.full((1, 1, 2), 2.0))
    assert with_bias(50.0, limit=1.0)(student, teacher).item() == pytest.approx(4 / math.e + 1, rel=1e-5)


def test_a_limit_of_zero_is_refused():
    with pytest.raises(RecipeError, match="positive limit"):
        PAD(2, limit=0.0)
