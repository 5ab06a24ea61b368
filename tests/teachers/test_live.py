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


def counted(model):
    """How often each module of a sequence has run."""
    counts = [0] * len(model)
    for index, module in enumerate(model):
        module.register_forward_hook(lambda *_, index=index: counts.__setitem__(index, counts[index] + 1))
    return counts


def test_the_tail_does_not_run_where_no_answer_is_needed():
    model, batch = network(), Batch(torch.randn(5, 4))
    counts = counted(model)
    with Teacher(model, [SITE], answers=False) as teacher:
        first, second, third = (teacher(batch) for _ in range(3))
    assert counts == [3, 1, 1, 1]  # the first forward counts how often each site fires
    assert first.output is not None
    assert third.output is None
    assert torch.equal(first.features["0"].x, second.features["0"].x)


def test_a_site_that_fires_several_times_is_waited_for():
    relu = nn.ReLU()
    model = nn.Sequential(nn.Linear(4, 4), relu, nn.Linear(4, 4), relu, nn.Linear(4, 2))
    counts = counted(model)
    batch = Batch(torch.randn(5, 4))
    with Teacher(model, [FeatureSpec("1", "BC", channels=4)], answers=False) as teacher:
        full, stopped = teacher(batch), teacher(batch)
    assert counts[4] == 1
    assert torch.equal(full.features["1"].x, stopped.features["1"].x)
    assert torch.equal(full.features["1"].x.squeeze(1), model[:4](batch.inputs))  # the last call


class Checkpointed(nn.Module):
    """Every block is recomputed in the backward pass, as large models are trained."""

    def __init__(self, reentrant):
        super().__init__()
        self.blocks = nn.Sequential(*(nn.Linear(4, 4) for _ in range(4)))
        self.reentrant = reentrant

    def forward(self, x):
        for block in self.blocks:
            x = torch.utils.checkpoint.checkpoint(block, x, use_reentrant=self.reentrant)
        return x


@pytest.mark.parametrize("reentrant", [True, False])
def test_a_teacher_with_checkpointed_blocks_is_stopped_too(reentrant):
    model = Checkpointed(reentrant)
    counts = counted(model.blocks)
    with Teacher(model, [FeatureSpec("blocks.1", "BC", channels=4)], answers=False) as teacher:
        for _ in range(3):
            teacher(Batch(torch.randn(5, 4)))
    assert counts == [3, 3, 1, 1]


def test_a_compiled_teacher_runs_to_its_end_and_says_so():
    model = network()
    compiled = torch.compile(model, backend="eager")
    assert "compiled" in Teacher.why_not_stopped(compiled)
    with Teacher(compiled, [SITE], answers=False) as teacher:
        for _ in range(3):
            assert teacher(Batch(torch.randn(5, 4))).output is not None


def test_a_stopped_forward_leaves_nothing_behind():
    model, batch = network(), Batch(torch.randn(5, 4))
    with Teacher(model, [SITE], answers=False) as teacher:
        for _ in range(3):
            teacher(batch)
    model.eval()
    assert model(batch.inputs).shape == (5, 2)


class Loop(nn.Module):
    """Runs its block as often as the first number of the batch says, then a tail."""

    def __init__(self):
        super().__init__()
        self.block, self.tail = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x):
        for _ in range(int(x[0, 0])):
            x = self.block(x)
        return self.tail(x)


def test_a_site_that_fires_another_number_of_times_in_every_batch_is_read_at_its_last():
    torch.manual_seed(0)
    model = Loop()
    with Teacher(model, [FeatureSpec("block", "BC", channels=4)], answers=False) as teacher:
        for times in (1, 3, 2):
            inputs = torch.full((2, 4), float(times))
            expected = inputs
            for _ in range(times):
                expected = model.block(expected)
            found = teacher(Batch(inputs))
            torch.testing.assert_close(found.features["block"].x.squeeze(1), expected)
    assert found.output is None


class Catching(nn.Module):
    """Catches errors of its parts, as models with a fallback do."""

    def __init__(self, kind):
        super().__init__()
        self.body, self.tail, self.kind = nn.Linear(4, 8), nn.Linear(8, 2), kind

    def forward(self, x):
        x = self.body(x)
        try:
            return self.tail(x)
        except self.kind:
            return torch.zeros(len(x), 2)


def test_a_model_that_catches_its_errors_is_stopped_all_the_same():
    batch = Batch(torch.randn(5, 4))
    with Teacher(Catching(Exception), [FeatureSpec("body", "BC", channels=8)], answers=False) as teacher:
        assert [teacher(batch).output is None for _ in range(3)] == [False, True, True]


def test_a_model_that_catches_everything_runs_to_its_end_and_says_so():
    batch, model = Batch(torch.randn(5, 4)), Catching(BaseException)
    with Teacher(model, [FeatureSpec("body", "BC", channels=8)], answers=False) as teacher:
        first = teacher(batch)
        with pytest.warns(UserWarning, match="cannot be stopped"):
            second = teacher(batch)
        third = teacher(batch)
    for each in (second, third):
        assert torch.equal(each.output, first.output)
        assert torch.equal(each.features["body"].x, first.features["body"].x)


def test_a_teacher_compiled_in_place_runs_to_its_end_and_says_so():
    model = network()
    model.compile(backend="eager")
    assert "compiled" in Teacher.why_not_stopped(model)
