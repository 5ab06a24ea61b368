import pytest
import torch

import limbeck.outputs
from limbeck.context import Context
from limbeck.outputs.labelled import labels_at_answers

MASK = torch.tensor([[True, True, True, True], [True, True, False, False], [True, True, True, False]])
LABELS = torch.tensor([[0, 1, 2, 3], [4, 1, 1, 1], [2, 4, 0, 2]])
OF_TOKENS = [
    "CrossEntropy", "SoftLabels", "DIST", "DKD", "NKD", "MLLD", "OFA", "ForwardKL", "ReverseKL", "SkewedForwardKL",
    "SkewedReverseKL", "JensenShannon", "TotalVariation", "TopKSoftLabels", "UniversalLogit", "LogitMSE",
    "StandardisedLogits", "StandardisedMSE", "BinarySoftLabels",
]  # fmt: skip


def logits(seed, padding):
    values = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(seed))
    return torch.where(MASK.unsqueeze(-1), values, padding).requires_grad_()


def judged(loss, padding, targets, *, mask=MASK):
    student, teacher = logits(0, padding), logits(1, -2 * padding)
    context = Context(targets=targets, student_output=student, teacher_output=teacher, mask=mask)
    value = loss(context)
    value.backward()
    return value, student.grad


CASES = [
    pytest.param(name, labelled, id=f"{name} with {said}")
    for name in OF_TOKENS
    for labelled, said in ((True, "labels without -100"), (False, "no labels"))
    if labelled or "targets" not in getattr(limbeck.outputs, name).requires
]


@pytest.mark.parametrize(("name", "labelled"), CASES)
def test_what_stands_at_padding_changes_nothing(name, labelled):
    loss = getattr(limbeck.outputs, name)()
    one, gradient = judged(loss, 0.3, LABELS if labelled else None)
    other, _ = judged(loss, 3.0, LABELS.where(MASK, 4) if labelled else None)
    assert torch.allclose(one, other, rtol=1e-6, atol=0)
    assert bool((gradient[~MASK] == 0).all())
    assert bool((gradient[MASK] != 0).any())
    unmasked, _ = judged(loss, 3.0, LABELS if labelled else None, mask=None)
    assert not torch.allclose(one, unmasked, rtol=1e-3)


def test_the_mean_is_over_the_positions_that_are_no_padding():
    value, _ = judged(limbeck.outputs.CrossEntropy(), 0.3, LABELS)
    expected = torch.nn.functional.cross_entropy(logits(0, 0.3)[MASK], LABELS[MASK])
    assert torch.allclose(value, expected)


def test_padding_does_not_count_in_shares_of_classes():
    shares = torch.rand(3, 4, 5, generator=torch.Generator().manual_seed(2)).softmax(-1)
    one, _ = judged(limbeck.outputs.CrossEntropy(), 0.3, shares)
    other, _ = judged(limbeck.outputs.CrossEntropy(), 3.0, shares)
    assert torch.allclose(one, other)


@pytest.mark.parametrize("name", ["SquaredError", "BinaryCrossEntropy"])
def test_padding_does_not_count_in_numbers(name):
    numbers = torch.rand(3, 4, 5, generator=torch.Generator().manual_seed(2))
    one, gradient = judged(getattr(limbeck.outputs, name)(), 0.3, numbers)
    other, _ = judged(getattr(limbeck.outputs, name)(), 3.0, numbers)
    assert torch.allclose(one, other)
    assert bool((gradient[~MASK] == 0).all())


def test_a_mask_says_nothing_of_answers_for_whole_samples():
    samples = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
    context = Context(targets=torch.tensor([0, 1, 2]), student_output=samples)
    loss = limbeck.outputs.CrossEntropy()
    assert torch.equal(loss(context), loss(context._replace(mask=MASK)))


def test_a_function_of_the_users_own_reads_the_labels_of_the_batch():
    seen = []
    loss = limbeck.outputs.Given(lambda answers, labels: seen.append(labels) or answers.sum())
    judged(loss, 0.3, LABELS)
    assert torch.equal(seen[0], LABELS)


def test_labels_move_to_the_answers_that_they_judge():
    moved = labels_at_answers(LABELS, MASK, next_token=True)
    assert moved.tolist() == [[1, 2, 3, -100], [1, -100, -100, -100], [4, 0, -100, -100]]
    assert labels_at_answers(LABELS.float(), MASK, next_token=True).dtype == torch.float32
