import copy
import json
import re
import shutil
from collections import OrderedDict
from contextlib import nullcontext
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from fsspec.implementations.memory import MemoryFileSystem
from torch import nn

from limbeck.batch import Batch, KnownLogits
from limbeck.cache import Cache, CachedTeacher, CacheError, DataOrigin, Form, Origin
from limbeck.cache.answers import LOGITS, WholeAnswers
from limbeck.cache.identity import weights_hash
from limbeck.cache.inspecting import inspect_cache
from limbeck.capture import probe
from limbeck.errors import DataError
from limbeck.links import FeatureSpec
from limbeck.targets import PoolGrid
from limbeck.teachers import Teacher


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)
    )


def origin(model, **changed):
    facts = {"teacher": "Net", "weights": weights_hash(model), "data": data(), "encoding": "float32"}
    return Origin(**{**facts, **changed})


def data(content="d", samples=50, views=2):
    return {"training": DataOrigin(content, samples, views)}


def batch(numbers, view=0):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(50, 1, 6, 6, generator=generator)[list(numbers)] + view
    keys = torch.tensor([(number, view) for number in numbers])
    return Batch(x, None, keys)


def cached(model, place, live=True, autocast=nullcontext, rows_per_file=16, **changed):
    specs = probe(model, batch(range(4))._replace(keys=None), sites=["1", "4:input"]).specs
    source = Teacher(model, specs) if live else None
    forms = [Form("1", (3, 3)), Form("4:input")]
    return CachedTeacher(
        source,
        Cache(place, origin(model, **changed), rows_per_file=rows_per_file),
        sites=specs,
        forms=forms,
        answers=WholeAnswers((3,)),
        autocast=autocast,
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
        ({"data": data(views=3)}, "number of views of training samples was 2. Found 3"),
        ({"data": data("e")}, "training data or their transform"),
        ({"data": data(samples=51)}, "number of training samples was 50. Found 51"),
        ({"encoding": "int8"}, "encoding was float32. Found int8"),
        ({"precision": "bf16"}, "precision that the teacher runs in was no. Found bf16"),
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


def test_validation_data_are_added_to_a_cache_and_may_be_left_out_again(model, tmp_path):
    first = cached(model, tmp_path)
    first(batch([7], 1))
    first.close()
    both = {**data(), "validation": DataOrigin("v", 10)}
    second = cached(model, tmp_path, data=both)
    second(batch([7], 1))
    assert (second.uses.read, second.uses.computed) == (1, 0)
    of_validation = batch([7])._replace(keys=torch.tensor([[57, 0]]))
    second(of_validation)
    assert second.uses.computed == 1
    second.close()
    assert second.sampled("validation", 8).tolist() == [57]
    cached(model, tmp_path, live=False)(batch([7], 1))
    cached(model, tmp_path, live=False, data=both)(of_validation)
    with pytest.raises(CacheError, match="validation data or their transform"):
        cached(model, tmp_path, data={**data(), "validation": DataOrigin("w", 10)})


@pytest.mark.parametrize(("encoding", "error"), [("float16", 1e-3), ("int8", 0.05)])
def test_error_of_each_field_is_measured(model, tmp_path, encoding, error):
    teacher = cached(model, tmp_path, encoding=encoding)
    found = teacher.fit([batch(range(25)), batch(range(25, 50))])
    assert set(found) == {"1+3x3", "4%3Ainput", "+logits"}
    assert found["+logits"].error == 0
    assert 0 < found["1+3x3"].error < error
    assert teacher.size == teacher.bytes_per_sample * 100


def test_the_error_is_measured_on_other_samples_than_those_that_were_fitted(model, tmp_path):
    """What is larger in the second batch than in the first is clipped, which the first cannot show."""
    teacher = cached(model, tmp_path, encoding="int8")
    second = batch(range(25, 50))
    found = teacher.fit([batch(range(25)), second._replace(inputs=100 * second.inputs)])
    assert found["1+3x3"].worst > 0.5
    assert found["1+3x3"].lost > 0
    assert "channels lost" in str(found["1+3x3"])


def test_fitting_runs_the_teacher_once_a_batch_and_never_on_a_cache_that_is_known(model, tmp_path):
    teacher = cached(model, tmp_path, encoding="int8")
    batches = [batch(range(start, start + 10)) for start in range(0, 40, 10)]
    found = teacher.fit(batches)
    assert teacher.uses.computed == 4
    assert sorted(teacher.sampled("training", 50)) == list(range(20, 40))  # those that were measured are kept
    teacher.close()
    again = cached(model, tmp_path, encoding="int8")
    assert again.fit(batches) == found
    assert again.uses.computed == 0


def test_samples_of_a_remote_cache_are_drawn_from_few_files(model, tmp_path, monkeypatch):
    address = f"memory://{tmp_path.name}"
    monkeypatch.setenv("HOME", str(tmp_path / "first"))
    full = cached(model, address, rows_per_file=2)
    full.fit([batch(range(25)), batch(range(25, 50))])
    full(batch(range(25)))
    full.close()
    monkeypatch.setenv("HOME", str(tmp_path / "second"))
    fetched, fetch = [], MemoryFileSystem.get_file
    monkeypatch.setattr(MemoryFileSystem, "get_file", lambda *given: (fetched.append(given[1]), fetch(*given)))
    again = cached(model, address, rows_per_file=2)
    chosen = again.sampled("training", 8)
    again.check(batch(chosen))
    rows = [name for name in fetched if name.endswith(".rows")]
    assert len({*chosen}) == 8
    assert len(rows) == 3 * 4  # of 3 fields, 4 files of 25 each
    other = next(number for number in range(50) if number // 2 not in {each // 2 for each in chosen})
    again(batch([other]))
    assert len([name for name in fetched if name.endswith(".rows")]) == 3 * 5
    assert again.uses.read == 1


def test_a_cache_that_the_disk_cannot_hold_is_refused(model, tmp_path):
    teacher = cached(model, tmp_path)
    teacher.cache.require_room(teacher.size)
    with pytest.raises(CacheError, match="will take 1000000000000.0 MB.*Free some"):
        teacher.cache.require_room(10**18)


def test_rows_of_other_fields_are_no_room_for_those_that_are_to_come(model, tmp_path, monkeypatch):
    teacher = cached(model, tmp_path)
    Cache(tmp_path, origin(model)).field("other", (10_000,)).rows.write([0], torch.zeros(1, 10_000).numpy())
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=teacher.size - 1))
    with pytest.raises(CacheError, match="Free some"):
        teacher.cache.require_room(teacher.size)
    teacher(batch([1]))
    teacher.cache.require_room(teacher.size)


def test_samples_that_are_in_batches_of_their_own_are_compared_together(model, tmp_path):
    """Of a single sample nothing says how far samples are apart: rounding looks like another teacher."""
    teacher = cached(model, tmp_path)
    teacher(batch(range(8)))
    alone = [batch([number]) for number in range(8)]
    teacher.check(*(each._replace(inputs=each.inputs * 1.001) for each in alone))
    with pytest.raises(CacheError, match="on 8 samples"):
        teacher.check(*(each._replace(inputs=each.inputs.flip(-1) + 1) for each in alone))


@pytest.mark.parametrize("content", [b"", b"cut off", None])
def test_damaged_statistics_are_an_error_that_says_what_to_do(model, tmp_path, content):
    first = cached(model, tmp_path, encoding="float16")
    first.fit([batch(range(20))])
    first.close()
    statistics = next(tmp_path.rglob("statistics.safetensors"))
    statistics.write_bytes(statistics.read_bytes()[:-1] if content is None else content)
    with pytest.raises(CacheError, match=re.escape(f"delete '{statistics.parent}'")):
        cached(model, tmp_path, encoding="float16")
    shutil.rmtree(statistics.parent)
    again = cached(model, tmp_path, encoding="float16")
    again.fit([batch(range(20))])
    assert again(batch([3])).features["1"].x.isfinite().all()


def test_a_header_that_lacks_something_is_an_error_that_says_what(model, tmp_path):
    cached(model, tmp_path).close()
    header = tmp_path / "header.json"
    known = json.loads(header.read_text())
    header.write_text(json.dumps({key: value for key, value in known.items() if key != "data"}))
    for look in (cached, lambda _, place: inspect_cache(place)):
        with pytest.raises(CacheError, match="it lacks data"):
            look(model, tmp_path)


def test_rows_that_are_there_keep_their_bits_when_others_of_their_batch_are_computed(model, tmp_path):
    teacher = cached(model, tmp_path)
    before = teacher(batch([1, 2])).features["1"].x
    teacher.live = Teacher(copy.deepcopy(model), list(teacher.sites.values()))
    with torch.no_grad():
        teacher.live.model[0].bias.add_(1e-3)
    assert torch.equal(teacher(batch([1, 2, 3])).features["1"].x[:2], before)


def test_the_teacher_runs_in_its_precision_whatever_surrounds_it(model, tmp_path):
    half = partial(torch.autocast, "cpu", torch.bfloat16)
    teacher = cached(model, tmp_path / "a", autocast=half)
    outside = teacher(batch([1, 2]))
    with torch.autocast("cpu", torch.bfloat16):
        plain = cached(model, tmp_path / "b")(batch([1, 2]))
        inside = cached(model, tmp_path / "a", live=False)(batch([1, 2]))
    with half():
        expected = model(batch([1, 2]).inputs)
    assert torch.equal(outside.output.logits, expected.float())
    assert torch.equal(inside.output.logits, expected.float())
    assert torch.equal(plain.output.logits, model(batch([1, 2]).inputs))


def test_components_are_decoded_exactly_under_autocast(model, tmp_path):
    teacher = cached(model, tmp_path, encoding="pca")
    teacher.fit([batch(range(25)), batch(range(25, 50))])
    exact = teacher(batch([3])).features["1"].x
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(teacher(batch([3])).features["1"].x, exact)


def test_what_is_not_finite_is_refused_before_it_is_stored(model, tmp_path):
    teacher = cached(model, tmp_path)
    given = batch([1, 2])
    with pytest.raises(DataError, match="must be finite"):
        teacher(given._replace(inputs=given.inputs * torch.nan))
    assert not len(teacher.sampled("training", 8))


def test_a_site_called_logits_is_not_taken_for_the_answers(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(OrderedDict(body=nn.Linear(4, 6), logits=nn.Linear(6, 3), scale=nn.Linear(3, 2)))
    given = Batch(torch.randn(3, 4), None, torch.tensor([[number, 0] for number in range(3)]))
    specs = [FeatureSpec("logits", "BC", channels=3)]
    live = Teacher(model, specs)
    teacher = CachedTeacher(
        live, Cache(tmp_path, origin(model)), sites=specs, forms=[Form("logits")], answers=WholeAnswers((2,))
    )
    read = teacher(given)
    assert torch.equal(read.output.logits, model(given.inputs))
    assert torch.equal(read.features["logits"].x, live(given).features["logits"].x)


def test_no_two_forms_share_a_folder():
    """The seventh call of a site and a grid of seven positions; a name with a slash and one with an underscore."""
    forms = [Form("a@7"), Form("a", (7,)), Form("a", ()), Form("a"), Form("a/b"), Form("a_b"), Form("a:input")]
    forms += [Form("a-input"), Form("a", (7,), summary=True), Form("vector"), Form("logits")]
    names = {str(form).lower() for form in forms}
    assert len(names) == len(forms)
    assert LOGITS not in names


MASK = torch.tensor([[True, True, True, False], [True, True, False, False]])


@pytest.mark.parametrize("grid", [None, (2,), ()])
@pytest.mark.parametrize("summary", [None, 0, -1])
def test_padding_and_what_the_head_reads_are_those_of_the_live_feature(tmp_path, grid, summary):
    torch.manual_seed(0)
    model = Tokens()
    spec = FeatureSpec("body", "BNC", channels=6, positions=4, grid=(4,), summary=summary)
    given = Batch({"x": torch.randn(2, 4, 5), "attention_mask": MASK}, None, torch.tensor([[0, 0], [1, 0]]))
    live = Teacher(model, [spec])
    form = Form.pooled(spec, grid)
    teacher = CachedTeacher(live, Cache(tmp_path, origin(model)), sites=[spec], forms=[form])
    mine, theirs = teacher(given).features["body"], live(given).features["body"]
    torch.testing.assert_close(mine.pooled(), theirs.pooled())
    if grid is None:
        assert torch.equal(mine.mask, MASK)
        assert mine.summary == summary
    elif grid:
        target = PoolGrid(grid=grid)
        pooled, expected = target(mine), target(theirs)
        torch.testing.assert_close(pooled.x, expected.x)
        assert torch.equal(pooled.mask, expected.mask)


def test_a_class_token_stays_what_the_head_reads_behind_a_grid(tmp_path):
    torch.manual_seed(0)
    model = Tokens()
    spec = FeatureSpec("body", "BNC", channels=6, positions=10, grid=(3, 3), prefix=1, summary=0)
    given = Batch({"x": torch.randn(2, 10, 5)}, None, torch.tensor([[0, 0], [1, 0]]))
    live = Teacher(model, [spec])
    cache = Cache(tmp_path, origin(model))
    teacher = CachedTeacher(live, cache, sites=[spec], forms=[Form.pooled(spec, (2, 2))])
    mine, theirs = teacher(given).features["body"], live(given).features["body"]
    torch.testing.assert_close(mine.pooled(), theirs.pooled())
    target = PoolGrid(grid=(2, 2))
    assert target(mine).x.shape == (2, 4, 6)
    torch.testing.assert_close(target(mine).x, target(theirs).x)


def test_batches_of_other_lengths_are_refused_by_name(tmp_path):
    model = Tokens()
    spec = FeatureSpec("body", "BNC", channels=6, positions=4, grid=(4,))
    cache = Cache(tmp_path, origin(model))
    teacher = CachedTeacher(Teacher(model, [spec]), cache, sites=[spec], forms=[Form("body")])
    with pytest.raises(CacheError, match="'body' with shape \\(5, 6\\)"):
        teacher(Batch({"x": torch.randn(2, 5, 5)}, None, torch.tensor([[0, 0], [1, 0]])))


class Tokens(nn.Module):
    """A layer on every token."""

    def __init__(self):
        super().__init__()
        self.body = nn.Linear(5, 6)

    def forward(self, x):
        return self.body(x)
