import numpy as np
import pytest
import torch

from limbeck.errors import RecipeError
from limbeck.features import Feature
from limbeck.projectors import LinearBatchNorm


def test_value_is_that_of_torch_s_batch_normalisation():
    projector = LinearBatchNorm(4, 6)
    x = 3 + torch.randn(8, 5, 4)
    norm = torch.nn.BatchNorm1d(6, affine=False)
    expected = norm(projector.map(x).flatten(0, 1)).unflatten(0, (8, 5))
    assert torch.allclose(projector(Feature(x, (5,))).x, expected, atol=1e-5)


def test_value_by_hand():
    projector = LinearBatchNorm(1, 1, eps=1e-12)
    x = torch.tensor([[[1.0]], [[3.0]]])
    out = projector(Feature(x)).x.flatten() * projector.map.weight.sign().item()
    assert out.tolist() == pytest.approx([-1.0, 1.0])  # mean 2, deviation 1, whatever the weight


def test_masked_positions_do_not_count_in_the_statistics():
    projector = LinearBatchNorm(3, 2)
    x, mask = torch.randn(4, 6, 3), torch.rand(4, 6) > 0.4
    mask[:, 0] = True
    out = projector(Feature(torch.where(mask.unsqueeze(-1), x, 1e3), (6,), 0, mask))
    rows = projector.map(x)[mask].detach().double().cpu().numpy()
    expected = (rows - rows.mean(0)) / np.sqrt(rows.var(0) + 1e-5)
    assert np.allclose(out.x[mask].detach().cpu().numpy(), expected, atol=1e-4)


def test_scale_and_shift_of_the_student_do_not_matter():
    projector = LinearBatchNorm(3, 2)
    x = torch.randn(32, 1, 3)
    assert torch.allclose(projector(Feature(x)).x, projector(Feature(100 * x + 7)).x, atol=1e-2)


def test_evaluation_gives_what_training_does():
    projector = LinearBatchNorm(3, 2)
    feature = Feature(torch.randn(8, 1, 3))
    training = projector(feature).x
    assert torch.equal(projector.eval()(feature).x, training)


def test_one_vector_gives_zeros_and_a_finite_gradient():
    x = torch.randn(1, 1, 3, requires_grad=True)
    out = LinearBatchNorm(3, 2)(Feature(x)).x
    out.sum().backward()
    assert out.abs().max() == 0
    assert torch.isfinite(x.grad).all()


def test_eps_out_of_range_is_refused():
    with pytest.raises(RecipeError, match="eps above 0"):
        LinearBatchNorm(3, 2, eps=0.0)
