"""A linear projector that starts where ridge regression puts it."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import limbeck
from limbeck.batch import adapt_batch
from limbeck.errors import RecipeError
from limbeck.planning import build, fit_targets
from limbeck.projectors import Linear
from tests.toys import conv_net, loader, trained


def recipe(**projector):
    return {"features": [{"loss": "MSE", "projector": {"kind": "Linear", **projector}}], "mapping": "HeadInput"}


def fitted(teacher, student, data, recipe):
    """Plan, distiller with fitted targets, the teacher's source, and the batches."""
    plan = limbeck.plan(teacher, student, data, recipe=recipe)
    batches = [adapt_batch(each) for each in data]
    torch.manual_seed(0)
    distiller = build(plan, student, total_steps=1)
    source = limbeck.Teacher(teacher, plan.teacher_sites)
    fit_targets(distiller, source, batches)
    return distiller, source, batches


def vectors():
    torch.manual_seed(0)
    data = DataLoader(TensorDataset(1 + torch.randn(60, 4), torch.randint(0, 3, (60,))), batch_size=20)
    teacher, student = (nn.Sequential(nn.Linear(4, n), nn.ReLU(), nn.Linear(n, 3)) for n in (9, 5))
    return teacher, student, data


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("ridge", [0.01, 0.5])
def test_the_map_is_numpys_ridge_regression(bias, ridge):
    distiller, source, batches = fitted(*vectors(), recipe(bias=bias, ridge=ridge))
    term = distiller.every_term[0]
    with torch.no_grad():
        x = np.concatenate([distiller.read_student(b).features[term.link.student.site].x[:, 0] for b in batches])
        y = np.concatenate([term.target(source(b).features[term.link.teacher.site]).x[:, 0] for b in batches])
    x, y = x.astype(np.float64), y.astype(np.float64)
    mean_x, mean_y = (x.mean(0), y.mean(0)) if bias else (0.0, 0.0)
    x, y = x - mean_x, y - mean_y
    inner = x.T @ x
    expected = (np.linalg.inv(inner + ridge * np.trace(inner) / x.shape[1] * np.eye(x.shape[1])) @ x.T @ y).T
    assert np.allclose(term.projector.map.weight.detach(), expected, atol=1e-6)
    if bias:
        assert np.allclose(term.projector.map.bias.detach(), mean_y - expected @ mean_x, atol=1e-6)


def test_a_pretrained_student_begins_nearer_than_behind_an_orthogonal_map():
    teacher, student = trained(conv_net(8)), trained(conv_net(3))
    losses = []
    for options in ({"ridge": 0.01}, {}):
        distiller, source, batches = fitted(teacher, student, loader(96, shuffle=False), recipe(**options))
        with torch.no_grad():
            losses.append(float(sum(distiller.eval()(each, source(each)).terms[0] for each in batches) / len(batches)))
        distiller.close()
    # A loss of 1 means that nothing is explained yet.
    assert losses[0] < 0.6 < 1 < losses[1]


def test_padding_does_not_count():
    from tests.integrations.berts import bert, sentences

    def batches(padded):
        rows = sentences(16)
        keep = slice(None) if padded else slice(0, 7)
        keys = ("input_ids", "attention_mask", "labels")
        return [{key: torch.tensor([row[key] for row in rows])[..., keep] for key in keys[:2]}]

    maps = []
    for padded in (True, False):
        teacher, student = bert(8, 2, seed=1).eval(), bert(4, 2).eval()
        every = {"features": [{"loss": "MSE", "targets": [], "projector": {"kind": "Linear", "ridge": 0.01}}]}
        distiller, *_ = fitted(teacher, student, batches(padded), {**every, "outputs": []})
        maps.append(distiller.every_term[0].projector.map.weight.detach())
    assert torch.allclose(*maps, atol=1e-5)


def test_the_students_mode_and_statistics_stay():
    teacher, student = conv_net(8), conv_net(3).train()
    before = {name: each.clone() for name, each in student.state_dict().items()}
    fitted(teacher, student, loader(32), recipe(ridge=0.01))
    assert student.training
    assert all(torch.equal(before[name], each) for name, each in student.state_dict().items())


def test_a_run_starts_so():
    teacher, student = trained(conv_net(8)), trained(conv_net(3))
    options = {"steps": 1, "lr": 1e-4, "check_teacher": False, "progress": False}
    near, far = (
        limbeck.distill(teacher, student, loader(), recipe=recipe(**each), **options) for each in ({"ridge": 0.01}, {})
    )
    near, far = (next(iter(each.history.rows[0]["terms"].values())) for each in (near, far))
    assert near < far


def test_a_ridge_must_be_above_zero():
    with pytest.raises(RecipeError, match="above 0, such as 0.01"):
        Linear(2, 3, ridge=0.0)
