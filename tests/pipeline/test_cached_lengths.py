"""A cache for samples of which only those of one length can be in one batch."""

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

import limbeck
from limbeck.cache.inspecting import inspect_cache
from limbeck.options import Options
from limbeck.pipeline import Pipeline
from limbeck.planning.caching import CacheSettings
from limbeck.recipe.recipe import Recipe

RECIPE = {
    "mapping": {"kind": "Explicit", "pairs": [["body", "body"]]},
    "features": [{"loss": "CKA", "targets": ["PoolVector"]}],
    "outputs": [{"loss": "CrossEntropy"}],
}


class Texts(Dataset):
    """Of four or six words."""

    def __len__(self):
        return 64

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        return torch.randint(0, 20, (4 + 2 * (index % 2),), generator=generator), index % 3


class OfOneLength:
    """Batches of eight samples."""

    def __iter__(self):
        return (list(range(start + odd, start + 16, 2)) for start in range(0, 64, 16) for odd in (0, 1))

    def __len__(self):
        return 8


class Network(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.words, self.body, self.head = nn.Embedding(20, width), nn.Linear(width, width), nn.Linear(width, 3)

    def forward(self, x):
        return self.head(self.body(self.words(x)).relu().mean(1))


def loader():
    return DataLoader(Texts(), batch_sampler=OfOneLength())


def distilled(place):
    torch.manual_seed(0)
    options = {"steps": 8, "lr": 0.01, "check_teacher": False, "progress": False, "recipe": RECIPE}
    return limbeck.distill(Network(16), Network(8), loader(), validation=loader(), cache=place, **options)


def test_what_is_stored_is_compared_though_its_samples_fit_into_no_batch(tmp_path):
    distilled(tmp_path)
    checked = next(each for each in distilled(tmp_path).plan.choices if each.name == "cache check")
    assert checked.value == "16 samples"


def test_a_cache_is_filled_by_the_batches_of_the_sampler(tmp_path):
    torch.manual_seed(0)
    options = Options(Recipe.model_validate(RECIPE), cache=CacheSettings(tmp_path), progress=False)
    Pipeline(Network(16), Network(8), loader(), loader(), options).fill_cache()
    assert all((each.rows, each.damaged) == (128, 0) for each in inspect_cache(tmp_path, check=True).fields)
