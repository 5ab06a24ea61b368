"""Networks of timm with random weights; what is expected is read from timm's own ``feature_info`` and attributes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import timm
import torch
from torch import nn

from limbeck.batch import Batch
from tests.capture.architecture import Architecture, Expected, Stage

Count = Callable[[nn.Module], int]


def pyramid(
    name: str,
    size: int,
    blocks: Count,
    *,
    stem: int = 0,
    axes: str | Sequence[str] = "BCHW",
    last: tuple[int, str] | None = None,
    named: bool = True,
    sides: Sequence[int] | None = None,
    in_rows: bool = True,
    **options: Any,
) -> Architecture:
    """A network of stages, as its ``feature_info`` lists them.

    Args:
        name: timm's name.
        size: of the square images.
        blocks: counts its blocks.
        stem: how many entries of ``feature_info`` belong to the stem.
        axes: of all stages, or of each.
        last: channels and module of the last stage, where ``feature_info`` names a lone convolution behind it instead.
        named: whether the names in ``feature_info`` are those of modules.
        sides: of the grids, where convolutions without padding make them smaller than ``feature_info`` says.
        in_rows: whether its tokens stand in the order of the image's rows.
        **options: of the network.
    """

    def expected(model: Any) -> Expected:
        info = [dict(each) for each in model.feature_info][stem:]
        if last is not None:
            info[-1].update(num_chs=last[0], module=last[1])
        ends = list({each["reduction"]: each for each in info}.values())  # entries of one reduction are one stage
        letters = [axes] * len(ends) if isinstance(axes, str) else axes
        lengths = sides or [-(-size // each["reduction"]) for each in ends]
        stages = tuple(
            Stage(
                each["num_chs"], (side, side) if in_rows else (side * side,), letter, 0, each["module"] if named else ""
            )
            for each, side, letter in zip(ends, lengths, letters, strict=True)
        )
        return Expected(stages, blocks(model), **_head(model))

    return _architecture(name, size, expected, options)


def isotropic(
    name: str, size: int, patch: int, *, prefix: int = 0, summary: int | None = None, **options: Any
) -> Architecture:
    """A network of equal blocks over the patches of an image."""

    def expected(model: Any) -> Expected:
        depth = len(model.blocks)
        stage = Stage(model.embed_dim, (size // patch,) * 2, "BNC", prefix, f"blocks.{depth - 1}")
        return Expected((stage,), depth, summary=summary, **_head(model))

    return _architecture(name, size, expected, options)


def _architecture(name: str, size: int, expected: Callable[[Any], Expected], options: dict[str, Any]) -> Architecture:
    def build() -> nn.Module:
        return timm.create_model(name, pretrained=False, num_classes=10, **options)

    return Architecture(name, build, lambda: Batch(torch.randn(3, 3, size, size)), expected)


def _head(model: Any) -> dict[str, Any]:
    """timm names the classifier (or several, the main one first); how wide it is its weight says."""
    named = model.default_cfg["classifier"]
    name = named if isinstance(named, str) else named[0]
    weight = model.get_submodule(name).weight
    return {"head": name, "head_channels": weight.shape[1], "head_axes": "BC" if weight.ndim == 2 else "BCHW"}


def listed(attribute: str, inside: str | None = None) -> Count:
    """Counts the elements of the lists in a list: ``stages[i].blocks``."""

    def count(model: Any) -> int:
        return sum(len(getattr(each, inside) if inside else each) for each in getattr(model, attribute))

    return count


def exactly(number: int) -> Count:
    """A number known of the architecture."""
    return lambda _: number


def layered(model: Any) -> int:
    return sum(len(each) for each in (model.layer1, model.layer2, model.layer3, model.layer4))


STAGED, IN_BLOCKS = listed("stages", "blocks"), listed("blocks")


def ghostnet(model: Any) -> Expected:
    """``feature_info`` names the first list of each stage: the paper's table 1, at half width, names the last."""
    ends = [(8, 32), (12, 16), (20, 8), (56, 4), (80, 2)]
    stages = tuple(Stage(channels, (side, side)) for channels, side in ends)
    return Expected(stages, 16, **_head(model))


def crossvit(model: Any) -> Expected:
    """Three multi-scale blocks, each of which returns the tokens of both branches."""
    grids = [(side // patch, side // patch) for (side, _), patch in zip(model.img_size_scaled, (12, 16), strict=True)]
    small, large = (Stage(c, g, "BNC", 1, "blocks.2") for c, g in zip(model.embed_dim, grids, strict=True))
    return Expected((small, large), 6, summary=0, **_head(model))


TIMM = [
    _architecture("ghostnet_050", 64, ghostnet, {}),
    _architecture("crossvit_tiny_240", 240, crossvit, {}),
    pyramid("resnet18", 64, layered, stem=1),
    pyramid("resnet50", 64, layered, stem=1),
    pyramid("regnetx_002", 64, lambda m: sum(len(list(s.children())) for s in (m.s1, m.s2, m.s3, m.s4)), stem=1),
    pyramid("densenet121", 64, exactly(4), stem=1, last=(1024, "features.denseblock4")),
    # VGG's blocks are its 8 convolutions and the one stage that stands for the two fully connected layers.
    pyramid("vgg11_bn", 64, exactly(8 + 1), last=(4096, "pre_logits"), sides=(64, 32, 16, 8, 4, 1)),
    pyramid("mobilenetv2_050", 64, IN_BLOCKS),
    # Its last list of blocks holds one convolution in front of the head.
    pyramid("mobilenetv3_small_050", 64, lambda m: IN_BLOCKS(m) - 1, stem=1, last=(48, "blocks.4")),
    pyramid("efficientnet_b0", 64, IN_BLOCKS),
    pyramid("tf_efficientnet_lite0", 64, IN_BLOCKS),
    pyramid("convnext_atto", 64, STAGED),
    pyramid("swin_tiny_patch4_window7_224", 224, listed("layers", "blocks"), axes="BHWC"),
    pyramid("maxvit_rmlp_pico_rw_256", 64, STAGED, stem=1, img_size=64),
    pyramid("pvt_v2_b0", 64, STAGED, axes="BNC"),
    pyramid("twins_svt_small", 64, IN_BLOCKS, axes="BNC", named=False, img_size=64),
    pyramid("poolformer_s12", 64, STAGED),
    pyramid("levit_128s", 224, STAGED, axes="BNC"),
    # One element of its last stage only flattens the map.
    pyramid("efficientformer_l1", 224, lambda m: STAGED(m) - 1, axes=("BCHW", "BCHW", "BCHW", "BNC")),
    # It keeps the tokens that are pooled later side by side.
    pyramid("hiera_tiny_224", 224, lambda m: len(m.blocks), axes="BNC", in_rows=False),
    pyramid("mobilevit_xxs", 64, listed("stages"), last=(80, "stages.4")),
    # The stem: 128 -> 63 -> 61 -> 61 -> 30 -> 28 -> 13; each reduction: (n - 3) // 2 + 1.
    pyramid("inception_v3", 128, exactly(11), stem=2, sides=(13, 6, 2)),
    pyramid("repvgg_a0", 64, listed("stages"), stem=1, named=False),
    pyramid("coatnet_nano_rw_224", 64, STAGED, stem=1, img_size=64),
    pyramid("fastvit_t8", 64, STAGED),
    pyramid("focalnet_tiny_srf", 64, listed("layers", "blocks")),
    # Each of its blocks is a spatial and a channel block in a row.
    pyramid("davit_tiny", 64, lambda m: 2 * STAGED(m)),
    pyramid("nf_resnet26", 64, listed("stages"), stem=1),
    pyramid("dm_nfnet_f0", 64, listed("stages"), stem=1, last=(1536, "stages.3")),
    pyramid("tiny_vit_5m_224", 64, STAGED, axes=("BCHW", "BHWC", "BHWC", "BHWC")),
    pyramid("mambaout_femto", 64, STAGED, axes="BHWC"),
    # Two lists of three hold its down-sampling only.
    pyramid("volo_d1_224", 224, lambda m: sum(len(m.network[i]) for i in (0, 2, 3, 4)), axes="BHWC"),
    pyramid("tresnet_m", 64, lambda m: sum(len(m.body[i]) for i in range(2, 6)), stem=1),
    # A tree of blocks has no cut point inside: its four trees are the sites.
    pyramid("dla34", 64, exactly(4), stem=2),
    pyramid("res2net50_26w_4s", 64, layered, stem=1),
    pyramid("resnest14d", 64, layered, stem=1),
    # The global query of a stage jumps over its blocks: whole stages are the sites.
    pyramid("gcvit_xxtiny", 224, exactly(4)),
    isotropic("vit_tiny_patch16_224", 64, 16, prefix=1, summary=0, img_size=64),
    isotropic("deit_tiny_distilled_patch16_224", 64, 16, prefix=2, summary=0, img_size=64),
    isotropic("mixer_s32_224", 96, 32, img_size=96),
    # The class token of XCiT and CaiT joins behind the blocks.
    isotropic("xcit_nano_12_p16_224", 96, 16, img_size=96),
    isotropic("cait_xxs24_224", 64, 16, img_size=64),
    isotropic("beit_base_patch16_224", 64, 16, prefix=1, img_size=64),
    isotropic("eva02_tiny_patch14_224", 56, 14, prefix=1, img_size=56),
]
