"""Sites of made-up networks, for checks of mappers."""

from __future__ import annotations

from collections.abc import Sequence

from limbeck.links import FeatureSpec

Network = Sequence[FeatureSpec]


def conv_network(*blocks: int, width: int = 16, side: int = 32) -> Network:
    """A convolutional network with so many blocks in each stage; every stage halves the grid and doubles the width."""
    sites: list[FeatureSpec] = []
    for stage, count in enumerate(blocks):
        edge, channels = side >> stage, width << stage
        for block in range(count):
            depth = (sum(blocks[:stage]) + block + 1) / sum(blocks)
            role = "stage" if block == count - 1 else "block"
            name = f"stages.{stage}.{block}"
            sites.append(
                FeatureSpec(name, "BCHW", channels, edge**2, (edge, edge), depth=depth, stage=stage, role=role)
            )
    channels = width << (len(blocks) - 1)
    return [*sites, FeatureSpec("fc:input", "BC", channels, stage=len(blocks), role="head")]


def vision_transformer(blocks: int, *, width: int = 48, side: int = 14) -> Network:
    """A transformer on ``side * side`` patches with a class token, whose head reads that."""
    sites = [
        FeatureSpec(
            f"blocks.{block}",
            "BNC",
            width,
            side**2 + 1,
            (side, side),
            prefix=1,
            summary=0,
            depth=(block + 1) / blocks,
            role="stage" if block == blocks - 1 else "block",
        )
        for block in range(blocks)
    ]
    return [*sites, FeatureSpec("head:input", "BC", width, stage=1, role="head")]


def perceptron(layers: int, *, width: int = 32) -> Network:
    """Vectors only."""
    hidden = [FeatureSpec(f"layers.{i}", "BC", width, depth=(i + 1) / layers) for i in range(layers)]
    return [*hidden, FeatureSpec("out:input", "BC", width, role="head")]


def encoder(layers: int, *, width: int = 64, length: int = 20) -> Network:
    """A text encoder on padded sequences, without a marked head input."""
    return [
        FeatureSpec(
            f"layer.{i}",
            "BNC",
            width,
            length,
            (length,),
            summary=0,
            variable=True,
            depth=(i + 1) / layers,
            role="block",
        )
        for i in range(layers)
    ]


def single_site() -> Network:
    """The smallest network there is."""
    return [FeatureSpec("only", "BC", 8)]


PAIRS: tuple[tuple[Network, Network], ...] = (
    (conv_network(2, 2, 2, 2), vision_transformer(12)),
    (vision_transformer(4), conv_network(3, 4, 6, 3)),
    (perceptron(3), conv_network(1, 1, 1)),
    (encoder(3), encoder(12)),
    (conv_network(3, 4, 6, 3), perceptron(2)),
    (single_site(), vision_transformer(12)),
    (vision_transformer(12), single_site()),
    (single_site(), single_site()),
)
"""Student and teacher, of every kind that a mapper meets: other family, deeper, shallower, without head, one site."""
