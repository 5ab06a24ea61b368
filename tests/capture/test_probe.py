"""A look at a model: what it tells, what it refuses, and that it leaves no trace."""

from __future__ import annotations

import copy
import subprocess
import sys
import warnings

import pytest
import timm
import torch
from torch import Tensor, nn

from limbeck.batch import Batch
from limbeck.capture import Anatomy, probe
from limbeck.errors import LimbeckError, ModelError, SiteError
from limbeck.links import FeatureSpec
from tests.capture.own_architectures import UNet


def convolutions() -> nn.Sequential:
    return nn.Sequential(
        *(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True)),
        *(nn.Conv2d(8, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU(inplace=True), nn.Dropout(0.5)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10)),
    )


def images(count: int = 4) -> Batch:
    return Batch(torch.randn(count, 1, 8, 8))


@pytest.mark.parametrize("training", [True, False])
def test_the_model_and_the_random_state_are_left_as_they_were(training):
    model = convolutions().train(training)
    model[1].eval()
    model[3].weight.requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    flags = [(module.training, [each.requires_grad for each in module.parameters()]) for module in model.modules()]
    batch, random = images(), torch.get_rng_state()
    probe(model, batch)
    assert torch.equal(torch.get_rng_state(), random)
    assert flags == [
        (module.training, [each.requires_grad for each in module.parameters()]) for module in model.modules()
    ]
    assert all(torch.equal(before[name], each) for name, each in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert all(each.grad is None for each in model.parameters())


def test_the_model_is_left_as_it_was_when_it_does_not_run():
    model = convolutions()
    with pytest.raises(ModelError):
        probe(model, Batch(torch.randn(4, 3, 8, 8)))
    assert all(module.training for module in model.modules())
    assert all(each.requires_grad for each in model.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_buffers_that_a_forward_writes_are_put_back():
    class Counts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.head = nn.Linear(4, 4), nn.Linear(4, 2)
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            return self.head(self.layer(x).relu())

    model = Counts()
    probe(model, Batch(torch.randn(3, 4)))
    assert model.calls == 0


def test_what_a_model_caches_for_evaluation_does_not_outlive_the_probe():
    class Caches(nn.Module):
        """Keeps a table made of its weights until it is told to train, as some networks with attention biases do."""

        def __init__(self) -> None:
            super().__init__()
            self.layer, self.head = nn.Linear(4, 4), nn.Linear(4, 2)
            self.table: Tensor | None = None

        def train(self, mode: bool = True) -> nn.Module:
            if mode:
                self.table = None
            return super().train(mode)

        def forward(self, x: Tensor) -> Tensor:
            if self.table is None:
                self.table = self.layer.weight.exp()
            return self.head(self.layer(x).relu() @ self.table)

    model = Caches().eval()
    probe(model, Batch(torch.randn(3, 4)))
    assert model.table is None  # else weights that are loaded later would be hidden
    assert not model.training


def test_two_probes_tell_the_same():
    model, batch = convolutions(), images()
    assert probe(model, batch) == probe(model, batch)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_size_of_the_batch_does_not_matter(count):
    model = convolutions()
    expected = probe(model, images(4))
    assert probe(model, images(count)).specs == expected.specs


def test_parameters_and_multiply_adds_are_counted():
    anatomy = probe(convolutions(), images())
    first, second, head = 64 * 8 * 9, 16 * 16 * 8 * 9, 16 * 10
    assert anatomy.macs == first + second + head
    assert anatomy.parameters == (8 * 9 + 8) + 16 + (16 * 72 + 16) + 32 + (160 + 10)
    assert anatomy.costs["2"] == pytest.approx(first / (first + second + head))
    assert anatomy.output_shape == (2, 10)


def test_attention_is_counted():
    model = nn.Sequential(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), nn.Flatten(), nn.Linear(40, 2))
    anatomy = probe(model, Batch(torch.randn(3, 5, 8)))
    projections, attention, perceptron = 5 * 4 * 64, 2 * 25 * 8, 5 * 2 * 128
    assert anatomy.macs == projections + attention + perceptron + 80


def test_asked_sites_are_described_in_order_of_execution():
    anatomy = probe(convolutions(), images(), sites=["9:input", "3", "0"])
    assert [spec.site for spec in anatomy.specs] == ["0", "3", "9:input"]
    assert [spec.role for spec in anatomy.specs] == ["stage", "stage", "head"]
    assert anatomy.method == "named by the user"
    assert anatomy.head == "9"


def test_each_asked_name_of_one_tensor_gets_its_spec():
    anatomy = probe(convolutions(), images(), sites=["9:input", "8", "2", "3:input"])
    assert {each.site: each.axes for each in anatomy.specs} == {
        "2": "BCHW",
        "3:input": "BCHW",
        "8": "BC",
        "9:input": "BC",
    }


def test_asked_sites_may_be_patterns_of_one_part_for_each_star():
    model = nn.Sequential(convolutions()[:7], convolutions()[7:-1], nn.Linear(16, 10))
    sites = [spec.site for spec in probe(model, images(), sites=["0.*", "*:input", "0.2"]).specs]
    assert sites == ["0:input", *(f"0.{i}" for i in range(7)), "1:input", "2:input"]
    with pytest.raises(SiteError, match=r"Found none for 'blocks\.\*'"):
        probe(model, images(), sites=["blocks.*"])


def test_an_asked_block_of_a_transformer_knows_which_token_the_head_reads():
    model = timm.create_model("vit_tiny_patch16_224", pretrained=False, img_size=64, depth=3)
    anatomy = probe(model, Batch(torch.randn(2, 3, 64, 64)), sites=["blocks.0"])
    assert anatomy.spec("blocks.0").summary == 0


@pytest.mark.parametrize("site", ["9:input", "2", "nowhere"])
def test_an_asked_site_that_gives_nothing_is_refused(site):
    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = convolutions()
            self.nowhere = nn.Linear(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.layers(x)

    with pytest.raises(SiteError, match=f"'{site}'|'{site.partition(':')[0]}'"):
        probe(Idle(), images(), sites=[site])


def test_an_unknown_spec_names_the_nearest():
    with pytest.raises(SiteError, match=r"'layer1.O' is none of the sites found. Nearest: 'layer1.0'"):
        Anatomy((FeatureSpec("layer1.0", "BC", 4),), None, "").spec("layer1.O")


def test_a_model_that_does_not_run_on_the_batch_is_refused_with_what_it_said():
    with pytest.raises(ModelError, match=r"Sequential must run on a batch.*expected input.*\(2, 3, 8, 8\)"):
        probe(convolutions(), Batch(torch.randn(4, 3, 8, 8)))


def test_a_scripted_model_is_refused():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripted = torch.jit.script(nn.Sequential(nn.Linear(4, 2)))
    with pytest.raises(ModelError, match="scripted"):
        probe(scripted, Batch(torch.randn(3, 4)))


def test_a_model_without_a_tensor_in_its_answer_is_refused():
    class Silent(nn.Linear):
        def forward(self, x: Tensor) -> str:
            return f"nothing of {len(x)}"

    with pytest.raises(ModelError, match="tensor is needed"):
        probe(Silent(4, 2), Batch(torch.randn(3, 4)))


def test_a_model_of_one_layer_has_its_input_for_a_site():
    anatomy = probe(nn.Linear(4, 2), Batch(torch.randn(3, 4)))
    assert [(spec.site, spec.role) for spec in anatomy.specs] == [(":input", "head")]


def test_a_model_without_modules_has_no_site():
    class Bare(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * 2

    with pytest.raises(SiteError, match="sites="):
        probe(Bare(), Batch(torch.randn(3, 4)))


def test_without_a_dataflow_sites_are_found_by_structure_and_it_says_so():
    class Frozen(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.Sequential(*(nn.Sequential(nn.Linear(8, 8), nn.ReLU()) for _ in range(3)))
            self.head = nn.Linear(8, 2)

        def forward(self, x: Tensor) -> Tensor:
            with torch.no_grad():
                return self.head(self.blocks(x))

    anatomy = probe(Frozen(), Batch(torch.randn(3, 8)))
    assert [spec.site for spec in anatomy.trunk] == ["blocks.0", "blocks.1", "blocks.2"]
    assert anatomy.head == "head"
    assert "structure" in anatomy.method
    assert any("no differentiable path" in note for note in anatomy.notes)


def test_a_u_net_says_that_its_blocks_are_no_cut_points():
    anatomy = probe(UNet(), Batch(torch.randn(2, 3, 32, 32)))
    assert "repeated blocks" in anatomy.method
    assert any("skip connections" in note for note in anatomy.notes)


def test_tokens_out_of_order_are_no_grid_and_it_says_so():
    class Shuffled(nn.Module):
        """A perceptron on patches; the patches in the order of rows, or in an order of its own."""

        def __init__(self, order: Tensor) -> None:
            super().__init__()
            self.patch, self.order = nn.Conv2d(3, 8, 8, 8), order
            self.blocks = nn.Sequential(*(nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 8), nn.GELU()) for _ in range(2)))
            self.head = nn.Linear(8, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.blocks(self.patch(x).flatten(2).mT[:, self.order]).mean(1))

    batch = Batch(torch.randn(2, 3, 64, 64))
    rows, shuffled = torch.arange(64), torch.arange(64).reshape(2, 4, 2, 4).permute(1, 3, 0, 2).flatten()
    in_rows, out_of_order = probe(Shuffled(rows), batch), probe(Shuffled(shuffled), batch)
    assert {spec.grid for spec in in_rows.trunk if spec.axes == "BNC"} == {(8, 8)}
    assert {spec.grid for spec in out_of_order.trunk if spec.axes == "BNC"} == {(64,)}
    assert not in_rows.notes
    assert any("order of the image's rows" in note for note in out_of_order.notes)


def test_several_heads_are_named_in_a_note():
    model = timm.create_model("deit_tiny_distilled_patch16_224", pretrained=False, img_size=64, depth=2)
    anatomy = probe(model, Batch(torch.randn(2, 3, 64, 64)))
    assert any("'head', 'head_dist'" in note for note in anatomy.notes)


@pytest.mark.parametrize(
    "name", ["resnet18", "vit_tiny_patch16_224", "swin_tiny_patch4_window7_224", "convnext_atto", "efficientnet_b0"]
)
def test_an_encoder_without_a_head_ends_with_its_representation(name):
    options = {"img_size": 64} if "patch" in name else {}
    model = timm.create_model(name, pretrained=False, num_classes=0, **options)
    anatomy = probe(model, Batch(torch.randn(2, 3, 64, 64)))
    assert anatomy.head is None
    assert (anatomy.head_input.axes, anatomy.head_input.channels) == ("BC", model.num_features)
    assert len(anatomy.trunk) > 5


def test_a_head_that_starts_at_zero_is_found_with_the_token_it_reads():
    model = timm.create_model("vit_tiny_patch16_224", pretrained=False, img_size=64, depth=2)
    nn.init.zeros_(model.head.weight)
    assert {spec.summary for spec in probe(model, Batch(torch.randn(2, 3, 64, 64))).trunk} == {0}


def test_logits_are_read_as_the_user_says():
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.trunk = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU())
            self.first, self.second = nn.Linear(8, 2), nn.Linear(8, 5)

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            x = self.trunk(x)
            return {"a": self.first(x), "b": self.second(x)}

    anatomy = probe(Two(), Batch(torch.randn(3, 4)), output=lambda answer: answer["b"])
    assert (anatomy.head, anatomy.output_shape) == ("second", (2, 5))


def test_several_inputs_have_sites_only_behind_their_meeting():
    class Siamese(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = nn.Linear(4, 8), nn.Linear(6, 8)
            self.joined = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU())
            self.head = nn.Linear(8, 2)

        def forward(self, one: Tensor, other: Tensor) -> Tensor:
            return self.head(self.joined(self.left(one) + self.right(other)))

    anatomy = probe(Siamese(), Batch((torch.randn(3, 4), torch.randn(3, 6))))
    # Their sum is no module's output: it is read where it goes in.
    assert [spec.site for spec in anatomy.specs] == ["joined:input", "joined.1", "head:input"]


def test_images_of_bytes_are_followed_from_the_first_layer_on():
    class Bytes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = convolutions()

        def forward(self, x: Tensor) -> Tensor:
            return self.layers(x.float() / 255)

    anatomy = probe(Bytes(), Batch(torch.randint(0, 256, (3, 1, 8, 8), dtype=torch.uint8)))
    assert [spec.site for spec in anatomy.specs] == ["layers.2", "layers.5", "layers.9:input"]
    assert anatomy.method == "cut points of the dataflow"


def test_a_compiled_model_is_probed_as_the_model_in_it():
    model = convolutions()
    compiled = torch.compile(model, backend="eager")
    assert probe(compiled, images()) == probe(model, images())


def test_no_library_of_models_is_loaded():
    script = "import sys, limbeck.capture; print({'timm', 'transformers', 'torchvision'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_every_error_is_one_that_the_command_line_understands():
    assert issubclass(ModelError, LimbeckError)
    assert issubclass(SiteError, LimbeckError)
