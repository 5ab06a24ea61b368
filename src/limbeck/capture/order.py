"""Whether tokens stand in the order of the image's rows, found by the gradient."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from limbeck.capture.layouts import Layout
from limbeck.capture.reading import gradient_of
from limbeck.capture.sites import Place


def stands_in_rows(place: Place, layout: Layout, image: Tensor | None) -> bool:
    """Whether tokens of an early block look at the part of the image where a grid, row by row, would put them.

    Some networks keep their tokens in windows or in units that are pooled later. What a token depends on most is its
    own patch; three tokens are asked, and only if none of them is near its place in the grid, the order is another.

    Args:
        place: a site of tokens, early in the network.
        layout: its axes, ``BNC`` with a grid of two sides.
        image: what went into the network, ``[B, C, H, W]``.
    """
    tokens, grid = place.seen.tensor, layout.grid
    if tokens is None or image is None or image.ndim != 4 or grid is None or len(grid) != 2 or min(grid) < 4:
        return True
    high, wide = grid
    for row, column in ((0, wide // 2), (high // 2, 0), (high // 2, wide // 2)):
        gradient = gradient_of(tokens[:, layout.prefix + row * wide + column], image)
        if gradient is None:
            return True
        energy = F.adaptive_avg_pool2d(gradient.square().sum((0, 1), keepdim=True), grid).flatten()
        found_row, found_column = divmod(int(energy.argmax()), wide)
        if abs(found_row - row) <= 1 and abs(found_column - column) <= 1:
            return True
    return False
