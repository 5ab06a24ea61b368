"""The teacher runs, frozen and in evaluation mode, and is given back as it was."""

import copy
from contextlib import nullcontext

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
    assert counts == [3, 1, 1, 1]  # the first forward finds where the tail begins
    assert first.output is not None
    assert third.output is None
    assert torch.equal(first.features["0"].x, second.features["0"].x)


def reusing():
    torch.manual_seed(0)
    relu = nn.ReLU()
    return nn.Sequential(nn.Linear(4, 4), relu, nn.Linear(4, 4), relu, nn.Linear(4, 2))


def test_a_site_that_runs_several_times_is_read_at_its_last_and_nothing_is_stopped():
    model, batch = reusing(), Batch(torch.randn(5, 4))
    with Teacher(model, [FeatureSpec("1", "BC", channels=4)], answers=False) as teacher:
        first, second = teacher(batch), teacher(batch)
        assert "'1' runs several times" in teacher.why_not_stopped
    for each in (first, second):
        assert each.output is not None
        assert torch.equal(each.features["1"].x.squeeze(1), model[:4](batch.inputs))


def test_a_call_that_is_named_is_read_and_the_rest_does_not_run():
    model, batch = reusing(), Batch(torch.randn(5, 4))
    counts = counted(model)
    with Teacher(model, [FeatureSpec("1@0", "BC", channels=4)], answers=False) as teacher:
        found = [teacher(batch).features["1@0"].x.squeeze(1) for _ in range(3)]
        assert teacher.why_not_stopped is None
    assert counts[2] == counts[4] == 1
    assert all(torch.equal(each, model[:2](batch.inputs)) for each in found)


def test_a_tail_of_no_modules_is_run_and_it_is_said():
    class Functional(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Linear(4, 8)

        def forward(self, x):
            return self.body(x).relu().mean(1)

    with Teacher(Functional(), [FeatureSpec("body", "BC", channels=8)], answers=False) as teacher:
        outputs = [teacher(Batch(torch.randn(5, 4))).output for _ in range(2)]
        assert "none of its modules begins" in teacher.why_not_stopped
    assert all(each is not None for each in outputs)


def test_at_least_nine_tenths_of_the_tail_are_saved():
    model = network()
    counts = counted(model)
    with Teacher(model, [SITE], answers=False) as teacher:
        for _ in range(100):
            teacher(Batch(torch.randn(5, 4)))
    assert counts[0] == 100
    assert counts[3] <= 10


def test_every_shape_of_inputs_runs_whole_once():
    class Recurrent(nn.Module):
        """Its cell is called once for each position, and answers each time."""

        def __init__(self):
            super().__init__()
            self.cell, self.head = nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, x):
            for position in range(x.shape[1]):
                answer = self.head(state := self.cell(x[:, position]))
            self.last = state
            return answer

    model = Recurrent()
    with Teacher(model, [FeatureSpec("cell", "BC", channels=4)], answers=False) as teacher:
        for _ in range(3):
            teacher(Batch(torch.randn(5, 1, 4)))
        assert teacher.why_not_stopped is None
        with pytest.warns(UserWarning, match="'cell' runs several times"):
            found = teacher(Batch(torch.randn(5, 2, 4)))
        assert torch.equal(found.features["cell"].x.squeeze(1), model.last)
        assert teacher(Batch(torch.randn(5, 1, 4))).output is not None


def test_what_the_values_of_a_batch_make_run_again_behind_the_stop_is_found_and_said():
    class Halting(nn.Module):
        """Goes on until the batch is content, which it asks after each round."""

        def __init__(self):
            super().__init__()
            self.block, self.halt = nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, x):
            for _ in range(int(x[0, 0])):
                answer = self.halt(self.block(x))
            return answer

    def batch(rounds):
        return Batch(torch.full((2, 4), float(rounds)))

    with Teacher(Halting(), [FeatureSpec("block", "BC", channels=4)], answers=False) as teacher:
        teacher(batch(1))
        for _ in range(31):
            teacher(batch(2))
        with pytest.warns(UserWarning, match="may have been read too early in the 31 forwards before"):
            teacher(batch(2))
        assert "'block' runs several times" in teacher.why_not_stopped


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


def test_a_teacher_in_a_wrapper_for_several_processes_is_stopped_too(tmp_path):
    model = network()
    counts = counted(model)
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
    try:
        wrapped = nn.parallel.DistributedDataParallel(model)
        with Teacher(wrapped, [SITE], answers=False) as teacher:
            for _ in range(3):
                found = teacher(Batch(torch.randn(5, 4)))
            assert teacher.why_not_stopped is None
    finally:
        torch.distributed.destroy_process_group()
    assert found.output is None
    assert counts == [3, 1, 1, 1]


@pytest.mark.parametrize("reentrant", [True, False])
def test_a_teacher_with_checkpointed_blocks_is_stopped_too(reentrant):
    model = Checkpointed(reentrant)
    counts = counted(model.blocks)
    with Teacher(model, [FeatureSpec("blocks.1", "BC", channels=4)], answers=False) as teacher:
        for _ in range(3):
            teacher(Batch(torch.randn(5, 4)))
    assert counts == [3, 3, 1, 1]


def in_another_class(model):
    return torch.compile(model, backend="eager")


def in_place(model):
    model.compile(backend="eager")
    return model


def by_its_forward(model):
    model.forward = torch.compile(model.forward, backend="eager")
    return model


@pytest.mark.compiled
@pytest.mark.filterwarnings("ignore:Dynamo")
@pytest.mark.parametrize("compiled", [in_another_class, in_place])
def test_a_compiled_teacher_runs_to_its_end_and_says_so(compiled):
    model, batch = compiled(network()), Batch(torch.randn(5, 4))
    with Teacher(model, [SITE], answers=False) as teacher:
        assert "compiled" in teacher.why_not_stopped
        assert all(teacher(batch).output is not None for _ in range(3))
    torch._dynamo.reset()


@pytest.mark.compiled
@pytest.mark.filterwarnings("ignore:Dynamo")
def test_a_teacher_whose_forward_was_replaced_by_a_compiled_one_is_found_by_running_it():
    model, batch = by_its_forward(network()), Batch(torch.randn(5, 4))
    with Teacher(model, [SITE], answers=False) as teacher:
        teacher(batch)
        with pytest.warns(UserWarning, match="it is compiled"):
            second = teacher(batch)
        assert "it is compiled" in teacher.why_not_stopped
        torch.testing.assert_close(second.features["0"].x.squeeze(1), model[0](batch.inputs))
        assert second.output is not None
    torch._dynamo.reset()


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
            said = pytest.warns(UserWarning, match="several times") if times == 3 else nullcontext()
            with said:
                found = teacher(Batch(inputs))
            torch.testing.assert_close(found.features["block"].x.squeeze(1), expected)
    assert found.output is not None


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
        with pytest.warns(UserWarning, match="catches every exception"):
            second = teacher(batch)
        third = teacher(batch)
    for each in (second, third):
        assert torch.equal(each.output, first.output)
        assert torch.equal(each.features["body"].x, first.features["body"].x)
