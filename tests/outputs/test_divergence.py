import weakref

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from limbeck.context import Context
from limbeck.errors import RecipeError
from limbeck.outputs import (
    CrossEntropy,
    ForwardKL,
    JensenShannon,
    LogitMSE,
    ReverseKL,
    SkewedForwardKL,
    SkewedReverseKL,
    SoftLabels,
    TopKSoftLabels,
    TotalVariation,
)
from limbeck.outputs.divergence import PIECE
from limbeck.testing import check_output, check_output_compiles
from tests.outputs.distributions import judged, kl, softmax

DIVERGENCES = [ForwardKL, ReverseKL, SkewedForwardKL, SkewedReverseKL, JensenShannon, TotalVariation]


@pytest.mark.parametrize("cls", DIVERGENCES)
def test_pieces_change_neither_value_nor_gradient(cls):
    found = []
    for piece in (2**24, 20, 1):  # all at once, two answers (and one that is left over), one answer
        student = torch.randn(7, 9, generator=_seeded(1)).requires_grad_()
        value = cls(piece=piece)(
            Context(student_output=student, teacher_output=torch.randn(7, 9, generator=_seeded(2)))
        )
        value.backward()
        found.append((value.detach(), student.grad))
    for value, gradient in found[1:]:
        torch.testing.assert_close(value, found[0][0])
        torch.testing.assert_close(gradient, found[0][1])


@pytest.mark.parametrize("cls", DIVERGENCES)
def test_contract_is_kept_in_pieces(cls):
    check_output(cls(piece=16))


@pytest.mark.compiled
@pytest.mark.parametrize("cls", DIVERGENCES)
def test_pieces_compile_as_one_graph(cls):
    check_output_compiles(cls(piece=16))


class Peak(TorchDispatchMode):
    """Bytes of all tensors that operations create, at most at one time."""

    def __init__(self):
        super().__init__()
        self.now = self.most = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        given = {each.untyped_storage().data_ptr() for each in _tensors(args)}
        result = func(*args, **(kwargs or {}))
        for each in _tensors(result if isinstance(result, tuple | list) else [result]):
            storage = each.untyped_storage()
            if storage.data_ptr() not in given:
                self.now += storage.nbytes()
                weakref.finalize(storage, self._free, storage.nbytes())
        self.most = max(self.most, self.now)
        return result

    def _free(self, size):
        self.now -= size


def _tensors(values):
    for each in values:
        if isinstance(each, torch.Tensor):
            yield each
        elif isinstance(each, tuple | list):
            yield from _tensors(each)


def peak_of_forward_and_backward(loss, student, teacher) -> tuple[int, int]:
    with Peak() as forward:
        value = loss(Context(student_output=student, teacher_output=teacher))
    kept = forward.now
    with Peak() as backward:
        value.backward()
    return forward.most, kept + backward.most


@pytest.mark.parametrize("cls", DIVERGENCES)
def test_logits_of_a_large_vocabulary_are_not_copied(cls):
    student, teacher = torch.randn(2, 64, 512, dtype=torch.bfloat16), torch.randn(2, 64, 512, dtype=torch.bfloat16)
    student.requires_grad_()
    logits = student.numel() * student.itemsize
    forward, backward = peak_of_forward_and_backward(cls(piece=1024), student, teacher)
    assert forward < logits  # less than one copy, where LogitMSE makes several in float32
    assert backward < 3.5 * logits  # the gradient itself, and the pieces that it is put together of
    whole, _ = peak_of_forward_and_backward(LogitMSE(), student, teacher)
    assert whole > 4 * logits


class Largest(TorchDispatchMode):
    """How many numbers the largest new tensor of an operation has; views of what was there are not new."""

    def __init__(self):
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        given = {each.untyped_storage().data_ptr() for each in _tensors(args)}
        result = func(*args, **(kwargs or {}))
        for each in _tensors(result if isinstance(result, tuple | list) else [result]):
            if each.untyped_storage().data_ptr() not in given:
                self.numbers = max(self.numbers, each.numel())
        return result


@pytest.mark.parametrize("cls", [CrossEntropy, SoftLabels, TopKSoftLabels, ForwardKL])
def test_answers_of_a_language_model_are_raised_to_full_precision_in_pieces(cls):
    student, teacher = (torch.zeros(8, 128, 32000, dtype=torch.bfloat16) for _ in range(2))
    student.requires_grad_()
    context = Context(targets=torch.ones(8, 128, dtype=torch.long), student_output=student, teacher_output=teacher)
    mask = torch.arange(128) < torch.randint(1, 128, (8, 1))
    with Largest() as largest:
        cls()(context._replace(mask=mask))
    assert largest.numbers <= PIECE < student.numel()


@pytest.mark.parametrize("cls", DIVERGENCES)
def test_class_that_neither_allows_does_not_matter(cls):
    student, teacher = torch.randn(4, 6), torch.randn(4, 6)
    without = judged(cls(), student[:, 1:], teacher[:, 1:])
    student[:, 0], teacher[:, 0] = -torch.inf, -torch.inf
    student.requires_grad_()
    value = cls()(Context(student_output=student, teacher_output=teacher))
    value.backward()
    assert value.item() == pytest.approx(without, rel=1e-5)
    assert torch.isfinite(student.grad).all()


def test_answers_without_a_label_do_not_count():
    student, teacher = torch.randn(2, 3, 5), torch.randn(2, 3, 5)
    labels = torch.tensor([[0, 1, -100], [2, -100, -100]])
    apart = kl(softmax(teacher), softmax(student))
    assert judged(ForwardKL(), student, teacher, labels) == pytest.approx(
        np.mean([apart[0, 0], apart[0, 1], apart[1, 0]]), rel=1e-5
    )  # the three labelled tokens
    assert judged(ForwardKL(), student, teacher) == pytest.approx(apart.mean(), rel=1e-5)


def test_empty_pieces_are_refused():
    with pytest.raises(RecipeError, match="at least 1 number. Found 0"):
        ForwardKL(piece=0)


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator(device=torch.get_default_device()).manual_seed(seed)
