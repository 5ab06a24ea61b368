import numpy as np
import pytest
import torch

from limbeck.context import Context
from limbeck.errors import DataError, RecipeError, ShapeMismatch
from limbeck.outputs import CrossEntropy


def judged(logits, targets, **options) -> float:
    return CrossEntropy(**options)(Context(targets, student_output=logits)).item()


def log_softmax(rows: np.ndarray) -> np.ndarray:
    return rows - np.log(np.exp(rows).sum(-1, keepdims=True))


def test_value_by_hand():
    logits = torch.tensor([[0.0, 0.0], [0.0, np.log(3.0)]])
    # Probabilities of the labels: 1/2 and 3/4.
    assert judged(logits, torch.tensor([0, 1])) == pytest.approx(-(np.log(0.5) + np.log(0.75)) / 2, rel=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_value_by_numpy(smoothing):
    logits, labels = torch.randn(6, 5), torch.randint(0, 5, (6,))
    shares = (1 - smoothing) * np.eye(5)[labels.cpu().numpy()] + smoothing / 5
    expected = -(shares * log_softmax(logits.cpu().numpy())).sum(1).mean()  # the formula of the docstring
    assert judged(logits, labels, label_smoothing=smoothing) == pytest.approx(expected, rel=1e-5)


def test_tokens_count_alike_and_ignored_ones_not_at_all():
    logits, labels = torch.randn(2, 3, 5), torch.tensor([[1, 4, -100], [2, -100, -100]])
    logs = log_softmax(logits.cpu().numpy())
    expected = -(logs[0, 0, 1] + logs[0, 1, 4] + logs[1, 0, 2]) / 3  # the three labelled tokens
    assert judged(logits, labels) == pytest.approx(expected, rel=1e-5)


def test_pixels_have_their_classes_in_the_second_axis():
    logits, labels = torch.randn(2, 5, 3, 4), torch.randint(0, 5, (2, 3, 4))
    expected = torch.nn.functional.cross_entropy(logits, labels).item()  # torch reads maps so
    assert judged(logits, labels) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64])
def test_shares_of_classes_are_read_as_torch_reads_them(dtype):
    logits = torch.randn(3, 4)
    shares = torch.tensor([[1, 0, 1, 0], [0, 0, 0, 1], [0, 1, 0, 0]]).to(dtype)
    expected = torch.nn.functional.cross_entropy(logits, shares.to(logits.dtype)).item()
    assert judged(logits, shares) == pytest.approx(expected, rel=1e-5)


def test_batch_without_a_label_gives_zero_instead_of_nan():
    logits = torch.randn(2, 3, 5, requires_grad=True)
    loss = CrossEntropy()(Context(torch.full((2, 3), -100), student_output=logits))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad.abs().sum() == 0


@pytest.mark.parametrize("targets", [torch.zeros(5, dtype=torch.long), torch.zeros(4), torch.zeros(4, 2)])
def test_labels_that_do_not_fit_are_refused_with_both_shapes(targets):
    with pytest.raises(ShapeMismatch, match=r"\(4,\).*\(4, 3\).*Found"):
        judged(torch.zeros(4, 3), targets)


def test_labels_that_are_no_tensor_are_refused():
    with pytest.raises(DataError, match="list"):
        judged(torch.zeros(2, 3), [0, 1])


def test_smoothing_beyond_one_is_refused():
    with pytest.raises(RecipeError, match=r"1\.5"):
        CrossEntropy(label_smoothing=1.5)


def test_labels_out_of_range_are_named():
    context = Context(torch.tensor([0, 9, -100]), student_output=torch.zeros(3, 4))
    with pytest.raises(DataError, match=r"from 0 to 3.*Found 0 to 9"):
        CrossEntropy()(context)
