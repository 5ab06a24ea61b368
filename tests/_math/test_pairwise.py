import numpy as np
import torch

from limbeck._math.pairwise import cosine_distance


def test_it_is_one_less_the_cosine():
    student, teacher = torch.randn(2, 3, 5), torch.randn(2, 3, 5)
    s, t = student.cpu().numpy(), teacher.cpu().numpy()
    cosine = (s * t).sum(-1) / np.linalg.norm(s, axis=-1) / np.linalg.norm(t, axis=-1)  # the definition
    assert np.allclose(cosine_distance(student, teacher, eps=1e-6).cpu().numpy(), 1 - cosine, atol=1e-6)


def test_it_is_exact_where_the_two_almost_agree():
    teacher = torch.tensor([[[1.0, 0.0]]], dtype=torch.float32)
    student = torch.tensor([[[1.0, 1e-5]]], dtype=torch.float32)
    found = cosine_distance(student, teacher, eps=1e-6).item()
    # 1 - cos(a) is a^2 / 2 = 5e-11, which 1 - 0.99999... in float32 would round to zero.
    assert abs(found / 5e-11 - 1) < 1e-3


def test_zero_vectors_are_equal_to_each_other():
    zero = torch.zeros(1, 1, 3, requires_grad=True)
    distance = cosine_distance(zero, torch.zeros(1, 1, 3), eps=1e-6)
    distance.sum().backward()
    assert distance.item() == 0
    assert torch.isfinite(zero.grad).all()
