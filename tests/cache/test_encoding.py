import pytest
import torch

from limbeck.cache.encoding import ENCODINGS, encoding
from limbeck.errors import RecipeError


def rows(count=2000, channels=8):
    """Channels of very different scale and mean, correlated."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(count, channels, generator=generator) @ torch.randn(channels, channels, generator=generator)
    return x * torch.logspace(-2, 3, channels) + torch.linspace(-50, 50, channels)


# Half: rounding of 11 bits; a byte: 12 / 255 / sqrt(12) of a deviation; 1 % of the variance left out.
@pytest.mark.parametrize(("name", "error"), [("float32", 0.0), ("float16", 5e-4), ("int8", 0.0136), ("pca", 0.11)])
def test_error_is_what_the_encoding_promises(name, error):
    x, coder = rows(), encoding(name)
    coder.fit([x[:1000], x[1000:]])
    back = coder.decode(torch.from_numpy(coder.encode(x)))
    apart = ((back - x) / x.std(0)).square().mean().sqrt().item()
    whole = ((back - x).square().sum() / (x - x.mean(0)).square().sum()).sqrt().item()
    assert (whole if name == "pca" else apart) <= 1.05 * error


@pytest.mark.parametrize("name", sorted(ENCODINGS))
def test_state_restores_the_encoding(name):
    x, first, second = rows(), encoding(name), encoding(name)
    first.fit([x])
    second.load(first.state())
    assert torch.equal(torch.from_numpy(first.encode(x)), torch.from_numpy(second.encode(x)))


def test_components_are_fewer_than_channels_where_channels_repeat():
    x = rows(channels=4).repeat(1, 4)
    coder = encoding("pca")
    coder.fit([x])
    assert coder.stored_channels(16) <= 4
    assert coder.encode(x).itemsize == 2


def test_constant_channels_come_back_as_they_were():
    x = torch.cat([rows(), torch.full((2000, 1), 3.0)], 1)
    for name in ENCODINGS:
        coder = encoding(name)
        coder.fit([x])
        torch.testing.assert_close(coder.decode(torch.from_numpy(coder.encode(x)))[:, -1], x[:, -1])


def test_unknown_encoding_names_the_nearest():
    with pytest.raises(RecipeError, match="float16"):
        encoding("float61")
