"""What a cache must agree with: precision, data, and the run that is resumed."""

import json
import random

import pytest
import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset

import limbeck
from limbeck.cache import CacheError
from limbeck.errors import DataError, RecipeError, RunError
from limbeck.planning import Pair
from limbeck.recipe.recipe import Recipe
from tests.toys import Counting, images, loader, pair, trained

OPTIONS = {"lr": 0.01, "steps": 6, "check_teacher": False, "progress": False}


def distill(train=None, *models, **options):
    return limbeck.distill(*(models or pair()), loader() if train is None else train, **{**OPTIONS, **options})


def weights(report):
    return torch.cat([each.detach().flatten() for each in report.student.parameters()])


def test_a_second_run_in_half_precision_reads_what_the_first_computed(tmp_path):
    first, second = (distill(cache=tmp_path, precision="bf16") for _ in range(2))
    assert torch.equal(weights(first), weights(second))
    checked = next(choice for choice in second.plan.choices if choice.name == "cache check")
    assert checked.value == "8 samples"


def test_a_cache_of_another_precision_is_refused_by_name(tmp_path):
    distill(cache=tmp_path, precision="bf16")
    with pytest.raises(CacheError, match="precision that the teacher runs in was bf16. Found no"):
        distill(cache=tmp_path)


def test_validation_data_may_be_added_later(tmp_path):
    teacher, student = pair()
    teacher = Counting(teacher)
    distill(None, teacher, student, cache=tmp_path, steps=12)
    seen, teacher.seen = teacher.seen, 0
    distill(None, teacher, pair()[1], validation=loader(32, seed=5), cache=tmp_path, steps=12)
    # Looking at the models, planning, samples that are computed again; of 96 + 32 samples only the latter are new.
    assert teacher.seen < seen - 64 + 32
    with pytest.raises(CacheError, match="validation data or their transform"):
        distill(validation=loader(32, seed=6), cache=tmp_path)
    with pytest.raises(CacheError, match="training data or their transform"):
        distill(loader(seed=1), cache=tmp_path)


class Flipped(Dataset):
    """Images that are flipped by chance, drawn from the generator that is given."""

    def __init__(self, data, generator=random):
        self.data, self.generator = data, generator

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        image, label = self.data[index]
        return (image.flip(-1) if self.generator.random() < 0.5 else image), label


def test_random_validation_data_of_their_own_are_replayed(tmp_path):
    held = DataLoader(Flipped(images(32, seed=5)), batch_size=16)
    first, second = (distill(validation=held, cache=tmp_path) for _ in range(2))
    assert torch.equal(weights(first), weights(second))
    assert first.evaluation == second.evaluation


def test_data_with_a_generator_of_their_own_are_refused_before_anything_is_written(tmp_path):
    own = DataLoader(Flipped(images(), random.Random(0)), batch_size=16)
    with pytest.raises(DataError, match="Flipped gives other ones"):
        distill(own, cache=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def doubled(items):
    inputs, targets = zip(*items, strict=True)
    return 2 * torch.stack(inputs), torch.stack(targets)


def test_validation_data_are_checked_as_their_own_loader_collates_them(tmp_path):
    data = images(32, seed=5)
    held = DataLoader(TensorDataset(data.tensors[0] / 2, data.tensors[1]), batch_size=16, collate_fn=doubled)
    for _ in range(2):
        distill(validation=held, cache=tmp_path)


@pytest.mark.parametrize("options", [{"cache_encoding": "float61"}, {"cache_views": 0}])
def test_a_setting_that_is_not_known_leaves_no_folder(tmp_path, options):
    with pytest.raises(RecipeError):
        distill(cache=tmp_path / "cache", **options)
    assert not (tmp_path / "cache").exists()


def test_channels_that_an_encoding_loses_are_said(tmp_path):
    """The last samples are a hundred times louder than those that the statistics are taken from."""
    data = images(128)
    data.tensors[0][64:] *= 100
    with pytest.warns(UserWarning, match="error above half of their deviation"):
        report = distill(DataLoader(data, batch_size=16), cache=tmp_path, cache_encoding="int8")
    choice = next(choice for choice in report.plan.choices if choice.name == "teacher cache")
    assert any("channels lost" in each for each in choice.candidates.values())


@pytest.fixture
def begun(tmp_path):
    """A run with a cache that was stopped just before its end."""
    distill(steps=3, run_dir=tmp_path / "run", cache=tmp_path / "cache", cache_encoding="int8")
    facts = tmp_path / "run" / "run.json"
    facts.write_text(json.dumps({**json.loads(facts.read_text()), "state": "running"}))
    return tmp_path / "run"


def test_a_resumed_run_takes_the_cache_that_it_was_begun_with(begun):
    report = limbeck.distill(*pair(), loader(), run_dir=begun, resume=True, check_teacher=False, progress=False)
    choice = next(choice for choice in report.plan.choices if choice.name == "teacher cache")
    assert choice.reason.startswith("int8")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"cache_encoding": "float16"}, "cache_encoding is int8 there and float16 now"),
        ({"cache_encoding": "int8", "cache_views": 3}, "cache_views is not given there and 3 now"),
    ],
)
def test_a_run_is_not_resumed_with_another_cache(begun, options, said):
    with pytest.raises(RunError, match=said):
        distill(steps=3, run_dir=begun, resume=True, cache=begun.parent / "cache", **options)


def test_a_run_without_a_cache_is_not_resumed_with_one(tmp_path):
    distill(steps=3, run_dir=tmp_path / "run")
    facts = tmp_path / "run" / "run.json"
    facts.write_text(json.dumps({**json.loads(facts.read_text()), "state": "running"}))
    with pytest.raises(RunError, match="not cached there"):
        distill(steps=3, run_dir=tmp_path / "run", resume=True, cache=tmp_path / "cache")


@pytest.mark.slow
def test_a_second_run_never_runs_the_teacher_but_to_look_at_it_and_to_compare(tmp_path):
    """Checking and scoring the teacher, planning's targets, the search for the rate and the steps read the cache."""
    teacher = Counting(trained(pair()[0]))
    options = {
        "check_teacher": True,
        "lr": "auto",
        "steps": 8,
        "budget": 1.0,
        "cache": tmp_path,
        "validation": loader(32, seed=5),
    }
    first = distill(None, teacher, pair()[1], **options)
    teacher.seen = 0
    looked = Pair.look(teacher, pair()[1], loader(), loader(32, seed=5), show=False)
    looked.plan(Recipe.load("auto"), show=False)
    looking, teacher.seen = teacher.seen, 0
    second = distill(None, teacher, pair()[1], **options)
    checked = 8 + 8  # of either data set
    assert teacher.seen == looking + checked
    assert second.teacher_score == first.teacher_score
    assert torch.equal(weights(first), weights(second))
