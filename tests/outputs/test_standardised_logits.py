import numpy as np
import pytest
import torch

from limbeck.context import Context
from limbeck.errors import RecipeError, ShapeMismatch
from limbeck.outputs import DIST, DKD, CrossEntropy, SoftLabels, StandardisedLogits
from limbeck.testing import check_output


def test_value_by_numpy():
    student, teacher = torch.randn(6, 7), 4 * torch.randn(6, 7) + 2
    soft = []
    for logits in (teacher.cpu().numpy(), student.cpu().numpy()):
        z = (logits - logits.mean(1, keepdims=True)) / logits.std(1, keepdims=True, ddof=1)  # unbiased, as the paper
        soft.append(np.exp(z / 2) / np.exp(z / 2).sum(1, keepdims=True))
    p, q = soft
    expected = 4 * (p * np.log(p / q)).sum(1).mean()
    found = StandardisedLogits()(Context(student_output=student, teacher_output=teacher))
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_value_by_hand():
    # Standardised, (0, 0, 0, 0, 5) is (-1, -1, -1, -1, 4) / sqrt(5); the student has it the other way round.
    teacher = torch.tensor([[0.0, 0.0, 0.0, 0.0, 5.0]])
    high, low = 4 / 5**0.5 / 2, -1 / 5**0.5 / 2
    p = np.exp([low, low, low, low, high]) / np.exp([low, low, low, low, high]).sum()
    q = np.exp([-low, -low, -low, -low, -high]) / np.exp([-low, -low, -low, -low, -high]).sum()
    found = StandardisedLogits()(Context(student_output=-teacher, teacher_output=teacher))
    assert found.item() == pytest.approx(4 * (p * np.log(p / q)).sum(), rel=1e-5)


def test_shift_and_scale_of_either_side_do_not_matter():
    student, teacher = torch.randn(6, 7), torch.randn(6, 7)
    plain = StandardisedLogits()(Context(student_output=student, teacher_output=teacher)).item()
    moved = StandardisedLogits()(Context(student_output=3 * student - 1, teacher_output=0.2 * teacher + 9)).item()
    assert moved == pytest.approx(plain, rel=1e-4)  # what standardising takes away


@pytest.mark.parametrize("classes", [2, 4])
def test_few_classes_are_refused_and_soft_labels_named(classes):
    logits = torch.randn(3, classes)
    with pytest.raises(ShapeMismatch, match=rf"at least 5 classes. Found {classes}.*SoftLabels"):
        StandardisedLogits()(Context(student_output=logits, teacher_output=logits))


def test_negative_temperature_is_refused():
    with pytest.raises(RecipeError, match="-1"):
        StandardisedLogits(temperature=-1.0)


@pytest.mark.parametrize("loss", [DKD(temperature=2.0), DIST(), SoftLabels(temperature=1.0)], ids=repr)
def test_loss_inside_is_that_of_the_standardised_logits(loss):
    student, teacher, labels = torch.randn(6, 7), 4 * torch.randn(6, 7) + 2, torch.randint(0, 7, (6,))
    # The paper's standardisation, as torch computes it.
    z = [(each - each.mean(1, keepdim=True)) / each.std(1, keepdim=True) for each in (student, teacher)]
    expected = loss(Context(labels, student_output=z[0], teacher_output=z[1])).item()
    found = StandardisedLogits(loss=loss)(Context(labels, student_output=student, teacher_output=teacher))
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_needs_of_the_loss_inside_are_its_own():
    loss = StandardisedLogits(loss=DKD())
    assert loss.requires == {"targets", "teacher_output"}
    assert StandardisedLogits(loss=DIST()).minimum_batch == 2
    check_output(loss)
    check_output(StandardisedLogits(loss=DIST()))


def test_classes_of_pixels_are_standardised_in_the_second_axis():
    student, teacher = torch.randn(2, 6, 3, 4), torch.randn(2, 6, 3, 4)
    rows = [each.movedim(1, -1).reshape(-1, 6) for each in (student, teacher)]
    expected = StandardisedLogits()(Context(student_output=rows[0], teacher_output=rows[1])).item()
    found = StandardisedLogits()(Context(student_output=student, teacher_output=teacher)).item()
    assert found == pytest.approx(expected, rel=1e-5)


def test_loss_that_knows_no_teacher_is_refused():
    with pytest.raises(RecipeError, match="compares with the teacher.*CrossEntropy"):
        StandardisedLogits(loss=CrossEntropy())


def test_temperature_beside_a_loss_is_refused():
    with pytest.raises(RecipeError, match="either a loss or a temperature"):
        StandardisedLogits(loss=DKD(), temperature=2.0)
