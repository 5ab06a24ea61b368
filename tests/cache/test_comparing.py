import subprocess
import sys
from collections import UserDict, namedtuple

import numpy as np
import pytest
import torch
from PIL import Image

from limbeck.cache.comparing import alike, compared
from limbeck.cache.identity import data_hash
from limbeck.cache.keyed import Keyed
from limbeck.errors import DataError

Sample = namedtuple("Sample", ["image", "label"])


def image(value):
    return Image.fromarray(np.full((2, 2, 3), value, np.uint8))


@pytest.mark.parametrize(
    ("make", "other"),
    [
        (lambda: torch.ones(2), torch.zeros(2)),
        (lambda: torch.tensor([torch.nan]), torch.tensor([0.0])),
        (lambda: image(3), image(4)),
        (lambda: (image(3), 1), (image(3), 2)),
        (lambda: {"image": image(3), "text": "ab"}, {"image": image(3), "text": "ac"}),
        (lambda: UserDict(x=torch.ones(2)), UserDict(x=torch.zeros(2))),
        (lambda: Sample(image(3), None), Sample(image(4), None)),
        (lambda: np.array(["a", "b"]), np.array(["a", "c"])),
        (lambda: np.array([{"x": 1}], dtype=object), np.array([{"x": 2}], dtype=object)),
        (lambda: np.float32(3), np.float32(4)),
        (lambda: b"ab", b""),
        (lambda: torch.tensor([True]), torch.tensor([False])),
    ],
)
def test_samples_are_alike_where_their_content_is(make, other):
    assert alike(make(), make())
    assert not alike(make(), other)


def test_what_cannot_be_compared_is_refused_by_its_type():
    with pytest.raises(DataError, match="Found object"):
        compared((torch.ones(2), object()))


def test_the_hash_of_images_is_the_same_in_another_process():
    script = (
        "from PIL import Image\nfrom limbeck.cache.identity import data_hash\nfrom limbeck.cache.keyed import Keyed\n"
        "print(data_hash(Keyed([(Image.new('RGB', (2, 2), (i, 0, 0)), i) for i in range(9)])))"
    )
    there = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    here = data_hash(Keyed([(Image.new("RGB", (2, 2), (i, 0, 0)), i) for i in range(9)]))
    assert there.stdout.strip() == here
