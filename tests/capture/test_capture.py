"""Capture reads; the model does not notice."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers.modeling_outputs import BaseModelOutput

from limbeck.capture import Capture
from limbeck.errors import LayoutError, SiteError
from limbeck.links import FeatureSpec

SITES = ["bn1", "relu", "layer1", "layer1.0", "layer2.0.bn1", "fc:input"]


class Reused(nn.Module):
    """One layer that runs three times, and one that never does."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.never = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(self.layer(self.layer(x)))


class Several(nn.Module):
    """Returns two tensors in a container, which the module around it then overwrites."""

    def __init__(self, container: type) -> None:
        super().__init__()
        self.inner = _Pair(container)

    def forward(self, x: Tensor) -> Tensor:
        answer = self.inner(x)
        first, second = answer.values() if isinstance(answer, dict) else answer
        return first.add_(1) + second.mul_(2)


class _Pair(nn.Module):
    def __init__(self, container: type) -> None:
        super().__init__()
        self.container = container

    def forward(self, x: Tensor) -> object:
        if self.container is BaseModelOutput:
            return BaseModelOutput(last_hidden_state=x + 1, hidden_states=x * 3)
        return self.container([x + 1, x * 3])


class UnderAnotherName(nn.Module):
    """Overwrites a tensor that a module only passed through."""

    def __init__(self) -> None:
        super().__init__()
        self.through = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = x * 2
        same = self.through(x)
        x.add_(100)
        return x + same


class Checkpointed(nn.Module):
    def __init__(self, *, store_less: bool) -> None:
        super().__init__()
        self.store_less = store_less
        self.block = nn.Sequential(nn.Linear(4, 8), nn.ReLU(inplace=True), nn.Linear(8, 4))
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        inner = checkpoint(self.block, x, use_reentrant=False) if self.store_less else self.block(x)
        return self.head(inner)


class Overwriting(nn.Module):
    """Overwrites what ``site`` returned, through a view if that is one; not in every forward."""

    def __init__(self, site: nn.Module) -> None:
        super().__init__()
        self.inner, self.site, self.head = nn.Linear(4, 6), site, nn.Linear(6, 2)
        self.overwrites = True

    def forward(self, x: Tensor) -> Tensor:
        inner = self.site(self.inner(x))
        return self.head(inner.mul_(-3).tanh_() if self.overwrites else inner)


@pytest.fixture
def resnet():
    return torchvision.models.resnet18(weights=None, num_classes=10)


@pytest.fixture
def images():
    return torch.randn(2, 3, 32, 32)


@pytest.mark.parametrize("training", [True, False])
def test_outputs_and_statistics_are_those_of_the_bare_model(resnet, images, training):
    bare = copy.deepcopy(resnet).train(training)
    with Capture(resnet.train(training), SITES) as capture:
        for _ in range(3):
            assert torch.equal(capture(images).output, bare(images))
    for (name, own), (_, expected) in zip(resnet.state_dict().items(), bare.state_dict().items(), strict=True):
        assert torch.equal(own, expected), name


def test_a_tensor_that_is_overwritten_in_place_is_kept_as_it_was(resnet, images):
    resnet.eval()
    expected = resnet.bn1(resnet.conv1(images))
    assert (expected < 0).any()  # the activation behind it, which works in place, changes it
    with Capture(resnet, ["bn1"]) as capture:
        for _ in range(3):
            assert torch.equal(capture(images).raw["bn1"], expected)


def test_gradients_can_be_measured_at_what_was_captured(resnet, images):
    resnet.eval()
    with Capture(resnet, SITES) as capture:
        for _ in range(2):
            captured = capture(images)
            gradients = torch.autograd.grad(captured.output.sum(), [captured.taps[site] for site in SITES])
            # Behind the input of the head there is one linear layer.
            expected = resnet.fc.weight.sum(0).expand(2, -1)
            torch.testing.assert_close(gradients[SITES.index("fc:input")].reshape(2, -1), expected)
            assert all(gradient.abs().sum() > 0 for gradient in gradients)


def test_a_tensor_overwritten_under_another_name_is_kept_and_the_output_stays_the_bare_one():
    x = torch.randn(3, 4, requires_grad=True)
    with Capture(UnderAnotherName(), ["through"]) as capture:
        for _ in range(3):
            captured = capture(x)
            assert torch.equal(captured.raw["through"], x * 2)
            assert torch.equal(captured.output, UnderAnotherName()(x))
            (gradient,) = torch.autograd.grad(captured.output.sum(), captured.taps["through"])
            assert torch.equal(gradient, torch.full((3, 4), 2.0))  # the output is twice the tensor, plus 200


@pytest.mark.parametrize("site", [nn.Identity(), nn.Unflatten(1, (2, 3)), nn.Flatten()])
def test_losses_on_output_and_feature_meet_at_the_tap_of_an_overwritten_tensor(site):
    model, x = Overwriting(nn.Sequential(site, nn.Flatten())), torch.randn(3, 4)
    at_tap = model.inner(x).detach().requires_grad_()
    (expected,) = torch.autograd.grad(model.head((-3 * at_tap).tanh()).square().sum(), at_tap)
    with Capture(model, ["site.0", "site"]) as capture:
        for _ in range(2):
            captured = capture(x)
            for name in capture.sites:
                tap, raw = captured.taps[name], captured.raw[name]
                (pull,) = torch.autograd.grad(captured.output.square().sum(), tap, retain_graph=True)
                (own,) = torch.autograd.grad(raw.square().sum(), tap, retain_graph=True)
                torch.testing.assert_close(pull.reshape(3, 6), expected)
                torch.testing.assert_close(own.reshape(3, 6), 2 * at_tap.detach())


class Cut(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x[:, :2]


class Rooted(nn.Module):
    """A view that begins a graph, of a tensor that has none."""

    def forward(self, x: Tensor) -> Tensor:
        return x.view_as(x).requires_grad_()


class Around(nn.Module):
    """Goes on with the whole tensor and with what a site made of it."""

    def __init__(self, site: nn.Module) -> None:
        super().__init__()
        self.site = site

    def forward(self, x: Tensor) -> Tensor:
        return 3 * self.site(x).sum() + 5 * x.sum()


@pytest.mark.parametrize(("site", "needs_grad"), [(Cut(), True), (Rooted(), False)])
def test_a_view_of_a_part_and_a_view_that_begins_the_graph_are_taps_themselves(site, needs_grad):
    with Capture(Around(site), ["site"]) as capture:
        captured = capture(torch.randn(3, 4, requires_grad=needs_grad))
        (gradient,) = torch.autograd.grad(captured.output, captured.taps["site"])
    assert torch.equal(gradient, torch.full_like(captured.raw["site"], 3.0))  # the way around the site does not count


def test_overwriting_that_begins_in_a_later_forward_is_noticed():
    model, x = Overwriting(nn.Identity()), torch.randn(3, 4)
    with Capture(model, ["site"]) as capture:
        for overwrites in (False, False, True, False, True):
            model.overwrites = overwrites
            captured = capture(x)
            assert torch.equal(captured.raw["site"], model.inner(x))
            assert torch.equal(captured.output, model(x))


def test_a_site_that_needs_no_gradient_has_no_tap():
    model = nn.Sequential(nn.Linear(4, 4).requires_grad_(False), nn.Linear(4, 2))
    with Capture(model, ["0", "1"]) as capture:
        assert list(capture(torch.randn(3, 4)).taps) == ["1"]
        with torch.no_grad():
            assert not capture(torch.randn(3, 4)).taps


@pytest.mark.parametrize("container", [tuple, list, BaseModelOutput])
def test_items_of_tuples_lists_and_model_outputs_are_read_and_protected(container):
    model, x = Several(container), torch.randn(3, 4)
    with Capture(model, ["inner", "inner[1]"]) as capture:
        for _ in range(3):
            captured = capture(x)
            assert torch.equal(captured.output, Several(container)(x))
            assert torch.equal(captured.raw["inner"], x + 1)
            assert torch.equal(captured.raw["inner[1]"], x * 3)


def test_each_of_several_calls_can_be_read_and_the_last_is_the_default():
    model, x = Reused(), torch.randn(3, 4)
    sites = ["layer", "layer@2", "layer@0", "layer@1"]
    with Capture(model, sites) as capture:
        capture(x)
        raw = capture(x).raw
    assert list(raw) == sites
    assert torch.equal(raw["layer@0"], model.layer(x))
    assert torch.equal(raw["layer@1"], model.layer(model.layer(x)))
    assert torch.equal(raw["layer"], raw["layer@2"])


def test_an_input_given_by_keyword_is_read():
    class Keyword(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attend = nn.MultiheadAttention(4, 2, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            return self.attend(query=x, key=x, value=x)[0]

    x = torch.randn(2, 5, 4)
    with Capture(Keyword(), ["attend:input"]) as capture:
        assert torch.equal(capture(x).raw["attend:input"], x)


def test_a_site_that_does_not_exist_leaves_no_hook(resnet):
    with pytest.raises(SiteError, match="layer9"):
        Capture(resnet, ["layer1", "fc:input", "layer9"])
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in resnet.modules())


def test_no_hook_is_left_after_closing(resnet):
    capture = Capture(resnet, SITES)
    assert any(module._forward_hooks for module in resnet.modules())
    capture.close()
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in resnet.modules())


def test_hooks_are_inert_outside_of_a_call(resnet, images):
    with Capture(resnet.eval(), SITES) as capture:
        resnet(images)
        assert not any((capture._recorder.copies, capture._recorder.taps, capture._recorder.calls))


def test_a_forward_that_fails_leaves_nothing_behind(resnet, images):
    with Capture(resnet.eval(), SITES) as capture:
        with pytest.raises(RuntimeError):
            capture(torch.randn(2, 4, 32, 32))
        assert not any((capture._recorder.copies, capture._recorder.taps, capture._recorder.calls))
        resnet(images)
        assert torch.equal(capture(images).output, resnet(images))


def test_a_model_under_capture_can_be_deep_copied(resnet, images):
    with Capture(resnet.eval(), SITES) as capture:
        twin = copy.deepcopy(resnet)
        expected = capture(images)
        assert torch.equal(twin(images), expected.output)
        twin.layer1 = nn.Identity()
        assert torch.equal(capture(images).raw["layer1"], expected.raw["layer1"])


def test_a_model_under_capture_can_be_pickled(resnet, images):
    with Capture(resnet.eval(), SITES) as capture:
        capture(images)
        twin = pickle.loads(pickle.dumps(resnet))
    assert torch.equal(twin(images), resnet(images))


def test_activation_checkpointing_gives_the_same_gradients():
    x = torch.randn(3, 4)
    plain, storing_less = Checkpointed(store_less=False), Checkpointed(store_less=True)
    storing_less.load_state_dict(plain.state_dict())
    for step in range(2):
        gradients = []
        for model in (plain, storing_less):
            with Capture(model, ["block.0", "block", "head:input"]) as capture:
                for _ in range(step + 1):
                    captured = capture(x)
            loss = captured.output.sum() + sum(each.square().sum() for each in captured.raw.values())
            gradients.append(torch.autograd.grad(loss, list(model.parameters())))
        for one, other in zip(*gradients, strict=True):
            torch.testing.assert_close(one, other)


@pytest.mark.compiled
def test_a_captured_model_compiles_to_one_graph(resnet, images):
    resnet.eval()
    expected = resnet(images)
    before = resnet.bn1(resnet.conv1(images))
    with Capture(resnet, SITES) as capture:
        compiled = torch.compile(resnet, backend="eager", fullgraph=True)
        capture.model = compiled
        for _ in range(2):
            captured = capture(images)
            torch.testing.assert_close(captured.output, expected)
            torch.testing.assert_close(captured.raw["bn1"], before)
            assert not captured.taps
    torch._dynamo.reset()


@pytest.mark.compiled
def test_a_compiled_model_can_be_given_as_it_is(resnet, images):
    compiled = torch.compile(resnet.eval(), backend="eager", fullgraph=True)
    with Capture(compiled, ["layer1"]) as capture:
        expected = resnet.layer1(resnet.maxpool(resnet.relu(resnet.bn1(resnet.conv1(images)))))
        torch.testing.assert_close(capture(images).raw["layer1"], expected)
    torch._dynamo.reset()


def test_nothing_outlives_its_step():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(inplace=True), nn.Linear(4, 2))
    with Capture(model, ["0", "1", "2:input"]) as capture:
        first = weakref.ref(capture(torch.randn(3, 4)).raw["0"])
        counts = []
        for step in range(500):
            capture(torch.randn(3, 4)).output.sum().backward()
            if step in {20, 499}:
                gc.collect()
                counts.append(sum(issubclass(type(each), Tensor) for each in gc.get_objects()))
    assert first() is None
    assert counts[1] <= counts[0]


def test_works_under_inference_mode(resnet, images):
    resnet.eval()
    with torch.inference_mode(), Capture(resnet, ["bn1"]) as capture:
        expected = resnet.bn1(resnet.conv1(images))
        for _ in range(2):
            assert torch.equal(capture(images).raw["bn1"], expected)


def test_specs_give_canonical_features_with_the_mask():
    model = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 6))
    mask = torch.tensor([[True, True, False], [True, True, True]])
    spec = FeatureSpec("1", "BNC", channels=6, positions=3, grid=(3,), variable=True)
    with Capture(model, [spec]) as capture:
        captured = capture(torch.randint(0, 9, (2, 3)), mask)
    assert torch.equal(captured.features["1"].x, captured.raw["1"])
    assert torch.equal(captured.features["1"].mask, mask)


def test_a_site_that_does_not_exist_is_named_with_the_nearest(resnet):
    with pytest.raises(SiteError, match=r"no module 'layer9'. Nearest: 'layer"):
        Capture(resnet, ["layer9"])


@pytest.mark.parametrize("site", ["never", "layer@3", "layer[1]"])
def test_a_site_that_gives_no_tensor_is_named(site):
    with Capture(Reused(), [site]) as capture, pytest.raises(SiteError, match="gave no tensor"):
        capture(torch.randn(3, 4))


def test_a_spec_of_another_rank_is_refused():
    with (
        Capture(nn.Sequential(nn.Linear(4, 4)), [FeatureSpec("0", "BNC", channels=4)]) as capture,
        pytest.raises(LayoutError, match=r"BNC \(3 axes\)"),
    ):
        capture(torch.randn(3, 4))
