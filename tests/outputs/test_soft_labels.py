import numpy as np
import pytest
import torch

from limbeck.context import Context
from limbeck.errors import RecipeError
from limbeck.outputs import SoftLabels


def kl(student: np.ndarray, teacher: np.ndarray, temperature: float) -> np.ndarray:
    p, q = (np.exp(each / temperature) for each in (teacher, student))
    p, q = p / p.sum(-1, keepdims=True), q / q.sum(-1, keepdims=True)
    return temperature**2 * (p * np.log(p / q)).sum(-1)


def test_value_by_hand():
    # At T = 1 the teacher says (3/4, 1/4), the student (1/2, 1/2).
    context = Context(student_output=torch.zeros(1, 2), teacher_output=torch.tensor([[np.log(3.0), 0.0]]))
    expected = 0.75 * np.log(1.5) + 0.25 * np.log(0.5)
    assert SoftLabels(temperature=1.0)(context).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
def test_value_is_the_batch_mean_in_numpy(temperature):
    student, teacher = torch.randn(6, 5), torch.randn(6, 5)
    expected = kl(student.cpu().numpy(), teacher.cpu().numpy(), temperature).mean()  # over samples, not classes
    context = Context(torch.zeros(6, dtype=torch.long), student_output=student, teacher_output=teacher)
    assert SoftLabels(temperature=temperature)(context).item() == pytest.approx(expected, rel=1e-5)


def test_tokens_without_a_label_do_not_count():
    student, teacher = torch.randn(2, 3, 5), torch.randn(2, 3, 5)
    labels = torch.tensor([[0, 1, -100], [2, -100, -100]])
    apart = kl(student.cpu().numpy(), teacher.cpu().numpy(), 4.0)
    expected = (apart[0, 0] + apart[0, 1] + apart[1, 0]) / 3  # the three labelled tokens
    context = Context(labels, student_output=student, teacher_output=teacher)
    assert SoftLabels()(context).item() == pytest.approx(expected, rel=1e-5)
    unlabelled = SoftLabels()(context._replace(targets=None)).item()
    assert unlabelled == pytest.approx(apart.mean(), rel=1e-5)  # without labels every token counts


def test_one_label_for_each_sample_leaves_all_its_tokens():
    student, teacher = torch.randn(2, 3, 5), torch.randn(2, 3, 5)
    context = Context(torch.tensor([1, -100]), student_output=student, teacher_output=teacher)
    expected = kl(student.cpu().numpy(), teacher.cpu().numpy(), 4.0).mean()  # labels of samples say nothing of tokens
    assert SoftLabels()(context).item() == pytest.approx(expected, rel=1e-5)


def test_gradient_keeps_its_size_when_the_temperature_rises():
    sizes = []
    for temperature in (20.0, 40.0):
        student, teacher = torch.randn(6, 5, generator=_seeded(1)), torch.randn(6, 5, generator=_seeded(2))
        student.requires_grad_()
        SoftLabels(temperature=temperature)(Context(student_output=student, teacher_output=teacher)).backward()
        sizes.append(student.grad.norm().item())
    # Hinton et al., sec. 2.1: gradients of soft targets scale as 1/T^2, which T^2 undoes.
    assert sizes[1] == pytest.approx(sizes[0], rel=0.05)


def test_temperature_of_zero_is_refused():
    with pytest.raises(RecipeError, match=r"0\.0"):
        SoftLabels(temperature=0.0)


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator(device=torch.get_default_device()).manual_seed(seed)
