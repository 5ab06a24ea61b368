import pytest
import torch
from torch import nn

from limbeck.batch import Batch, KnownLogits
from limbeck.cache import Cache, CachedTeacher, CacheError, Form, Origin
from limbeck.cache.identity import weights_hash
from limbeck.capture import probe
from limbeck.teachers import Teacher


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)
    )


def origin(model, **changed):
    facts = {"teacher": "Net", "weights": weights_hash(model), "data": ("d",), "samples": 50, "views": 2, "seed": 0}
    return Origin(**{**facts, "encoding": "float32", **changed})


def batch(numbers, view=0):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(50, 1, 6, 6, generator=generator)[list(numbers)] + view
    keys = torch.tensor([(number, view) for number in numbers])
    return Batch(x, None, keys)


def cached(model, place, live=True, **changed):
    specs = probe(model, batch(range(4))._replace(keys=None), sites=["1", "4:input"]).specs
    source = Teacher(model, specs) if live else None
    forms = [Form("1", (3, 3)), Form("4:input")]
    return CachedTeacher(
        source, Cache(place, origin(model, **changed), rows_per_file=16), sites=specs, forms=forms, logits=(3,)
    )


def test_what_is_read_is_what_the_teacher_said(model, tmp_path):
    first = cached(model, tmp_path)
    filled = first(batch([3, 1, 40]))
    first.close()
    again = cached(model, tmp_path, live=False)
    read = again(batch([40, 3]))
    assert (again.uses.read, again.uses.computed) == (1, 0)
    live = Teacher(model, list(first.sites.values()))(batch([40, 3]))
    pooled = nn.functional.adaptive_avg_pool2d(live.raw["1"], 3).flatten(2).transpose(1, 2)
    torch.testing.assert_close(read.features["1"].x, pooled)
    torch.testing.assert_close(read.features["4:input"].x, live.features["4:input"].x)
    assert isinstance(read.output, KnownLogits)
    torch.testing.assert_close(read.output.logits, live.output)
    # The filling pass and the reading pass give the same bits.
    assert torch.equal(filled.features["1"].x[[2, 0]], read.features["1"].x)


def test_views_are_kept_apart(model, tmp_path):
    teacher = cached(model, tmp_path)
    a, b = teacher(batch([5], 0)), teacher(batch([5], 1))
    assert not torch.equal(a.features["1"].x, b.features["1"].x)
    assert teacher.uses.computed == 2


def test_other_weights_are_refused_by_name(model, tmp_path):
    cached(model, tmp_path).close()
    with torch.no_grad():
        model[0].bias.add_(0.1)
    with pytest.raises(CacheError, match="weights"):
        cached(model, tmp_path)


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"views": 3}, "views"),
        ({"data": ("e",)}, "transform"),
        ({"encoding": "int8"}, "encoding"),
        ({"samples": 51}, "samples"),
    ],
)
def test_every_difference_is_named(model, tmp_path, changed, word):
    cached(model, tmp_path).close()
    with pytest.raises(CacheError, match=word):
        cached(model, tmp_path, **changed)


def test_changed_code_of_the_teacher_is_found_by_computing_some_again(model, tmp_path):
    teacher = cached(model, tmp_path)
    teacher(batch(range(8)))
    teacher.check(batch(range(8)))
    other = batch(range(8))
    with pytest.raises(CacheError, match="computed again"):
        teacher.check(other._replace(inputs=other.inputs.flip(0)))


def test_a_missing_row_without_a_teacher_is_an_error_that_says_what_to_do(model, tmp_path):
    cached(model, tmp_path)(batch([1]))
    with pytest.raises(CacheError, match="no teacher"):
        cached(model, tmp_path, live=False)(batch([2]))


def test_batches_without_keys_ask_the_live_teacher(model, tmp_path):
    teacher = cached(model, tmp_path)
    given = batch([1])._replace(keys=None)
    assert torch.equal(teacher(given).output, model.eval()(given.inputs))
    assert teacher.uses.read == 0


@pytest.mark.parametrize(("encoding", "error"), [("float16", 1e-3), ("int8", 0.05)])
def test_error_of_each_field_is_measured(model, tmp_path, encoding, error):
    teacher = cached(model, tmp_path, encoding=encoding)
    found = teacher.fit([batch(range(25)), batch(range(25, 50))])
    assert set(found) == {"1", "4:input", "logits"}
    assert found["logits"] == 0
    assert 0 < found["1"] < error
    assert teacher.size == teacher.bytes_per_sample * 100
