import pytest
import torch

from limbeck.cache.encoding import ENCODINGS, encoding
from limbeck.errors import RecipeError


def rows(count=2000, channels=8):
    """Channels of very different scale and mean, correlated."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(count, channels, generator=generator) @ torch.randn(channels, channels, generator=generator)
    return x * torch.logspace(-2, 3, channels) + torch.linspace(-50, 50, channels)


def fitted(name, *seen):
    coder = encoding(name)
    for each in seen:
        coder.observe(each)
    coder.fit()
    return coder


def apart(coder, x):
    """Root mean square error of each channel, in its deviations."""
    back = coder.decode(torch.from_numpy(coder.encode(x)))
    return (back - x).square().mean(0).sqrt() / x.std(0)


# Half: rounding of 11 bits; a byte: 12 / 254 / sqrt(12) of a deviation; 1 % of the variance left out.
@pytest.mark.parametrize(("name", "error"), [("float32", 0.0), ("float16", 5e-4), ("int8", 0.0136), ("pca", 0.11)])
def test_error_is_what_the_encoding_promises(name, error):
    x = rows()
    coder = fitted(name, x[:1000], x[1000:])
    assert apart(coder, x).square().mean().sqrt() <= 1.05 * error


@pytest.mark.parametrize("name", sorted(ENCODINGS))
def test_state_restores_the_encoding(name):
    x, second = rows(), encoding(name)
    first = fitted(name, x)
    second.load(first.state())
    assert torch.equal(torch.from_numpy(first.encode(x)), torch.from_numpy(second.encode(x)))


def test_components_are_fewer_than_channels_where_channels_repeat():
    x = rows(channels=4).repeat(1, 4)
    coder = fitted("pca", x)
    assert coder.stored_channels(16) <= 4
    assert coder.encode(x).itemsize == 2


def test_constant_channels_come_back_as_they_were():
    x = torch.cat([rows(), torch.full((2000, 1), 3.0)], 1)
    for name in ENCODINGS:
        coder = fitted(name, x)
        torch.testing.assert_close(coder.decode(torch.from_numpy(coder.encode(x)))[:, -1], x[:, -1])


@pytest.mark.parametrize("name", ["float16", "int8"])
def test_a_channel_that_was_silent_while_fitting_may_speak_later(name):
    x = rows(channels=8) / rows(channels=8).std(0)
    silent = x.clone()
    silent[:, 3] = 0.0
    assert apart(fitted(name, silent), x)[3] < 0.1


@pytest.mark.parametrize("name", ["float16", "int8"])
def test_a_channel_that_speaks_rarely_keeps_what_it_says(name):
    x = rows()
    x[:, 3] = 0.0
    x[::400, 3] = 5.0
    assert apart(fitted(name, x), x)[3] < 0.1


def test_components_keep_channels_of_small_numbers():
    assert apart(fitted("pca", rows()), rows()).max() < 0.3


def test_what_is_beyond_all_that_was_seen_is_clipped_to_the_same_side():
    coder = fitted("int8", rows())
    far = rows().mean(0) + torch.tensor([[1.0], [-1.0]]) * 20 * rows().std(0)
    back = coder.decode(torch.from_numpy(coder.encode(far)))
    assert ((back - rows().mean(0)).sign() == torch.tensor([[1.0], [-1.0]])).all()


def test_unknown_encoding_names_the_nearest():
    with pytest.raises(RecipeError, match="float16"):
        encoding("float61")
