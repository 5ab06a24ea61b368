"""The teacher runs, frozen and in evaluation mode, and is given back as it was."""

import copy

import pytest
import torch
from torch import nn

from limbeck.batch import Batch
from limbeck.errors import SiteError
from limbeck.links import FeatureSpec
from limbeck.teachers import FeatureSource, Teacher

SITE = FeatureSpec("0", "BC", channels=8)


def network():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 2))
    model[2].eval()
    return model


def modes(model):
    return [module.training for module in model.modules()]


def test_it_runs_in_evaluation_mode_without_a_graph_and_changes_no_buffer():
    model, batch = network(), Batch(torch.randn(5, 4))
    before = copy.deepcopy(model.state_dict())
    with Teacher(model, [SITE]) as teacher:
        captured = teacher(batch)
    assert isinstance(teacher, FeatureSource)
    torch.testing.assert_close(captured.output, copy.deepcopy(model).eval()(batch.inputs))
    assert torch.equal(captured.features["0"].x[:, 0], model[0](batch.inputs))
    assert not captured.output.requires_grad
    assert not captured.features["0"].x.requires_grad
    assert not captured.taps
    assert all(torch.equal(before[name], each) for name, each in model.state_dict().items())


def test_what_it_gives_can_be_saved_for_a_backward():
    with Teacher(network(), [SITE]) as teacher:
        captured = teacher(Batch(torch.randn(5, 4)))
    weight = torch.ones(8, requires_grad=True)
    (captured.features["0"].x * weight).sum().backward()  # saves the feature, which inference tensors refuse
    assert weight.grad is not None


def test_closing_gives_every_module_its_mode_back_and_takes_the_hooks_off():
    model = network()
    before = modes(model)
    with Teacher(model, [SITE]) as teacher:
        teacher(Batch(torch.randn(5, 4)))
        assert not any(modes(model))
    assert modes(model) == before == [True, True, True, False, True]
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_a_teacher_that_is_set_to_train_between_batches_still_evaluates():
    model, batch = network(), Batch(torch.randn(5, 4))
    with Teacher(model, [SITE]) as teacher:
        first = teacher(batch).output
        model.train()
        assert torch.equal(teacher(batch).output, first)


def test_a_site_that_does_not_exist_leaves_the_teacher_as_it_was():
    model = network()
    before = modes(model)
    with pytest.raises(SiteError, match="'7'"):
        Teacher(model, [SITE, FeatureSpec("7", "BC", channels=8)])
    assert modes(model) == before
    assert not any(module._forward_hooks for module in model.modules())
