"""Every raw tensor becomes ``[B, N, C]``, and which axis is which is found out by probing."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from limbeck.batch import Batch
from limbeck.capture import probe
from limbeck.capture.layouts import Evidence, Shapes, infer
from limbeck.capture.trace import Call
from limbeck.errors import LayoutError
from limbeck.links import FeatureSpec

AXES = ["BC", "BNC", "LBC", "BCL", "BCHW", "BHWC", "HWBC", "BDHWC", "BCDHW"]


def nothing_around() -> Call:
    module = nn.Identity()
    return Call("site", 0, module, None, 0, [], 0)


@st.composite
def raw_tensors(draw):
    axes = draw(st.sampled_from(AXES))
    shape = [draw(st.integers(1, 5)) for _ in axes]
    return axes, torch.randn(shape)


@given(raw_tensors())
def test_the_canonical_form_holds_every_number_at_its_place(drawn):
    axes, raw = drawn
    sizes = dict(zip(axes, raw.shape, strict=True))
    places = [letter for letter in axes if letter not in "BC"]
    x = FeatureSpec("site", axes, sizes["C"]).canonical(raw).x
    assert x.shape == (sizes["B"], math.prod(sizes[letter] for letter in places), sizes["C"])
    # Back again: unfold the positions, and put the axes where they were.
    unfolded = x.reshape(sizes["B"], *(sizes[letter] for letter in places), sizes["C"])
    order = ["B", *places, "C"]
    assert torch.equal(unfolded.permute([order.index(letter) for letter in axes]), raw)


@given(
    axes=st.sampled_from(AXES),
    sizes=st.lists(st.integers(1, 40), min_size=5, max_size=5),
    growth=st.integers(1, 9),
)
@settings(max_examples=200)
def test_axes_are_told_apart_by_how_they_change(axes, sizes, growth):
    first = dict(zip("CDHWN", sizes, strict=True)) | {"B": 2, "L": sizes[4]}
    other = {letter: first[letter] + (growth if letter not in "BC" else 0) for letter in first}
    shapes = Shapes(
        first=tuple(first[letter] for letter in axes),
        other_batch=tuple(3 if letter == "B" else first[letter] for letter in axes),
        other_size=tuple(other[letter] for letter in axes),
    )
    layout = infer("site", shapes, Evidence(nothing_around(), [], [], [], (), None))
    assert layout.axes == axes
    assert layout.channels == first["C"]
    assert layout.positions == math.prod(first[letter] for letter in axes if letter not in "BC")


@given(side=st.integers(2, 30), prefix=st.integers(0, 8), patch=st.sampled_from([4, 8, 16]))
def test_tokens_that_do_not_grow_with_the_image_are_prefix(side, prefix, patch):
    grown = side + 3
    shapes = Shapes((2, side**2 + prefix, 64), (3, side**2 + prefix, 64), (2, grown**2 + prefix, 64))
    space, other = (side * patch,) * 2, (grown * patch,) * 2
    layout = infer("site", shapes, Evidence(nothing_around(), [], [], [], space, other))
    assert (layout.axes, layout.grid, layout.prefix) == ("BNC", (side, side), prefix)


@given(high=st.integers(2, 12), wide=st.integers(2, 12), prefix=st.integers(0, 3))
def test_a_grid_that_a_convolution_made_is_known_without_another_size(high, wide, prefix):
    shape = (2, high * wide + prefix, 64)
    evidence = Evidence(nothing_around(), [], [], [((high, wide), None)], (high * 16, wide * 16), None)
    evidence.call.module = nn.LayerNorm(64)
    layout = infer("site", Shapes(shape, (3, *shape[1:]), None), evidence)
    assert (layout.grid, layout.prefix) == ((high, wide), prefix)


class Unreadable(nn.Module):
    """A square of equal sides in which nothing says what is what, between layers that see something else."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Linear(5, 16)
        self.square = nn.Unflatten(1, (4, 4))
        self.through = nn.Identity()
        self.leave = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.leave(self.through(self.square(self.enter(x))))


def test_an_ambiguous_layout_is_an_error_that_says_how_to_state_it():
    with pytest.raises(LayoutError, match=r"site 'through'.*\(2, 4, 4\).*layouts=\{'through': 'BNC'\}"):
        probe(Unreadable(), Batch(torch.randn(3, 5)), sites=["through"])


@pytest.mark.parametrize(("axes", "grid"), [("BNC", (4,)), ("BCL", (4,))])
def test_a_stated_layout_overrides_inference(axes, grid):
    anatomy = probe(Unreadable(), Batch(torch.randn(3, 5)), sites=["through"], layouts={"through": axes})
    spec = anatomy.spec("through")
    assert (spec.axes, spec.channels, spec.grid) == (axes, 4, grid)


@pytest.mark.parametrize("axes", ["BN", "BNCD", "BNN", "NCL", "B1C", ""])
def test_a_stated_layout_must_fit_the_tensor(axes):
    with pytest.raises(LayoutError, match=r"one letter for each axis.*'through'"):
        probe(Unreadable(), Batch(torch.randn(3, 5)), sites=["through"], layouts={"through": axes})


def test_a_layout_stated_for_an_unknown_site_is_refused():
    with pytest.raises(LayoutError, match="names 'thruogh', which is none of the sites"):
        probe(Unreadable(), Batch(torch.randn(3, 5)), sites=["through"], layouts={"thruogh": "BNC"})


def of(model: nn.Module, inputs: object, site: str) -> FeatureSpec:
    return probe(model, Batch(inputs), sites=[site]).spec(site)


class SeesPatches(nn.Module):
    """Patches of an image, with tokens in front, at any size of the image."""

    def __init__(self, tokens: int, channels: int) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, channels, 8, 8)
        self.tokens = nn.Parameter(torch.zeros(1, tokens, channels))
        self.block = nn.TransformerEncoderLayer(channels, 2, 16, batch_first=True)
        self.head = nn.Linear(channels, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        return self.head(self.block(torch.cat([self.tokens.expand(len(x), -1, -1), x], 1)).mean(1))


@pytest.mark.parametrize("tokens", [0, 1, 5])
@pytest.mark.parametrize(("high", "wide"), [(32, 32), (32, 64), (96, 40)])
def test_tokens_are_split_from_grids_of_any_proportions(tokens, high, wide):
    spec = of(SeesPatches(tokens, 8), torch.randn(2, 3, high, wide), "block")
    assert (spec.axes, spec.grid, spec.prefix) == ("BNC", (high // 8, wide // 8), tokens)


@pytest.mark.parametrize("channels", [4, 8, 16])  # 16 positions: as many as channels, once
def test_channels_are_found_though_positions_are_as_many(channels):
    spec = of(SeesPatches(0, channels), torch.randn(2, 3, 32, 32), "block")
    assert (spec.axes, spec.channels, spec.positions) == ("BNC", channels, 16)


def test_a_map_of_fixed_size_is_read_by_the_convolution_that_made_one_like_it():
    fixed = nn.Sequential(
        *(nn.AdaptiveAvgPool2d(8), nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Dropout(), nn.Flatten(), nn.Linear(512, 2)),
    )
    spec = of(fixed, torch.randn(2, 3, 32, 32), "3")
    assert (spec.axes, spec.channels, spec.grid) == ("BCHW", 8, (8, 8))


def test_a_map_of_fixed_size_is_read_by_the_layers_around_it():
    fixed = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(8),
        nn.BatchNorm2d(8),
        nn.Flatten(),
        nn.Linear(512, 2),
    )
    spec = of(fixed, torch.randn(2, 3, 32, 32), "3")
    assert (spec.axes, spec.channels, spec.grid) == ("BCHW", 8, (8, 8))


def test_channels_last_images_are_understood():
    class ChannelsLast(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix = nn.Linear(3, 8)
            self.head = nn.Linear(8, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.mix(x).relu().mean((1, 2)))

    spec = of(ChannelsLast(), torch.randn(2, 8, 12, 3), "mix")
    assert (spec.axes, spec.channels, spec.grid) == ("BHWC", 8, (8, 12))


def test_video_keeps_three_axes_of_positions():
    model = nn.Sequential(
        nn.Conv3d(3, 6, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(6, 2)
    )
    spec = of(model, torch.randn(2, 3, 4, 16, 16), "1")
    assert (spec.axes, spec.channels, spec.grid) == ("BCDHW", 6, (4, 16, 16))


def test_samples_folded_into_another_axis_are_no_site():
    class Frames(nn.Module):
        """Puts the frames of a video into the batch."""

        def __init__(self) -> None:
            super().__init__()
            self.frame = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU())
            self.video = nn.Sequential(nn.Linear(32, 16), nn.ReLU())
            self.head = nn.Linear(16, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.video(self.frame(x.flatten(0, 1)).reshape(len(x), -1)))

    batch = Batch(torch.randn(3, 4, 1, 8, 8))
    anatomy = probe(Frames(), batch)
    assert not [spec.site for spec in anatomy.specs if spec.site.startswith("frame")]
    assert any("'frame" in note for note in anatomy.notes)
    with pytest.raises(LayoutError, match=r"'frame\.1'"):
        probe(Frames(), batch, sites=["frame.1"])
