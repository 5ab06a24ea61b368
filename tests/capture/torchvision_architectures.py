"""Networks of torchvision with random weights; what is expected is written from their papers."""

from __future__ import annotations

import torch
import torchvision

from limbeck.batch import Batch
from tests.capture.architecture import Architecture, Expected, Stage


def of_torchvision(
    name: str,
    stages: tuple[Stage, ...],
    blocks: int,
    head: tuple[str, int],
    *,
    size: int = 64,
    summary: int | None = None,
) -> Architecture:
    return Architecture(
        f"torchvision {name}",
        lambda: torchvision.models.get_model(name, weights=None, num_classes=10),
        lambda: Batch(torch.randn(3, 3, size, size)),
        lambda _: Expected(stages, blocks, head[0], head[1], summary),
    )


# Channels and reductions are those of the papers' tables.
TORCHVISION = [
    of_torchvision(
        "resnet18",
        tuple(
            Stage(c, (s, s), module=m)
            for c, s, m in [(64, 16, "layer1"), (128, 8, "layer2"), (256, 4, "layer3"), (512, 2, "layer4")]
        ),
        8,
        ("fc", 512),
    ),
    of_torchvision(
        "mobilenet_v3_small",
        tuple(Stage(c, (s, s)) for c, s in [(16, 16), (24, 8), (48, 4), (96, 2)]),
        11,
        ("classifier.3", 1024),
    ),
    of_torchvision(
        "swin_t",
        tuple(
            Stage(c, (s, s), "BHWC", module=m)
            for c, s, m in [
                (96, 16, "features.1"),
                (192, 8, "features.3"),
                (384, 4, "features.5"),
                (768, 2, "features.7"),
            ]
        ),
        12,
        ("head", 768),
    ),
    of_torchvision(
        "densenet121",
        tuple(
            Stage(c, (s, s), module=f"features.denseblock{i}")
            for i, c, s in [(1, 256, 16), (2, 512, 8), (3, 1024, 4), (4, 1024, 2)]
        ),
        4,
        ("classifier", 1024),
    ),
    of_torchvision(
        "regnet_y_400mf",
        tuple(
            Stage(c, (s, s), module=f"trunk_output.block{i}")
            for i, c, s in [(1, 48, 16), (2, 104, 8), (3, 208, 4), (4, 440, 2)]
        ),
        16,
        ("fc", 440),
    ),
    of_torchvision(
        "vgg11",
        (*(Stage(c, (s, s)) for c, s in [(64, 64), (128, 32), (256, 16), (512, 8), (512, 4)]),),
        9,
        ("classifier.6", 4096),
    ),
]
