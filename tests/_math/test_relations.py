import torch

from limbeck._math.relations import relation_divergence, split_channels, visible


def test_groups_are_neighbouring_channels():
    x = torch.arange(6.0).reshape(1, 1, 6)
    assert split_channels(x, 3)[0, :, 0].tolist() == [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]


def test_row_that_sees_nothing_is_zero_with_a_finite_gradient():
    student = torch.randn(1, 2, 3, 3, requires_grad=True)
    seen = visible(torch.tensor([[False, False, False]]), 3, causal=False, device=student.device)
    rows = relation_divergence(student, torch.randn(1, 2, 3, 3), seen)
    rows.sum().backward()
    assert rows.abs().max() == 0
    assert torch.isfinite(student.grad).all()


def test_hidden_scores_take_no_part():
    student, teacher = torch.randn(1, 1, 3, 3), torch.randn(1, 1, 3, 3)
    seen = visible(torch.tensor([[True, True, False]]), 3, causal=False, device=student.device)
    found = relation_divergence(student, teacher, seen)[:, :2]
    everything = visible(None, 2, causal=False, device=student.device)
    expected = relation_divergence(student[..., :2, :2], teacher[..., :2, :2], everything)
    assert torch.allclose(found, expected, atol=1e-6)
