"""A cache of the most probable classes of each answer."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from limbeck.batch import Batch
from limbeck.cache import Cache, CachedTeacher, CacheError, DataOrigin, Origin
from limbeck.cache.answers import MostProbable, WholeAnswers
from limbeck.cache.inspecting import inspect_cache
from limbeck.cache.rounding import rounding_of
from limbeck.context import TopAnswers
from limbeck.teachers import Committee, Teacher

WORDS, LENGTH = 50, 4


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Embedding(WORDS, 16), nn.Linear(16, WORDS))


def batch(numbers):
    tokens = torch.randint(0, WORDS, (20, LENGTH), generator=torch.Generator().manual_seed(1))
    return Batch(tokens[list(numbers)], None, torch.tensor([(number, 0) for number in numbers]))


def cached(model, place, *, live=True, temperatures=(1.0, 2.0), kept=5):
    cache = Cache(place, Origin("Net", "w", {"training": DataOrigin("d", 20)}, "float16"))
    form = MostProbable((LENGTH, WORDS), kept, temperatures)
    return CachedTeacher(Teacher(model) if live else None, cache, sites=[], forms=[], answers=form)


def filled(model, place, **options):
    teacher = cached(model, place, **options)
    found = teacher.fit([batch(range(10)), batch(range(10, 20))])
    teacher(batch(range(20)))
    teacher.close()
    return teacher, found


def test_what_is_read_is_the_top_of_what_the_teacher_said(model, tmp_path):
    filled(model, tmp_path)
    read = cached(model, tmp_path, live=False)(batch([3, 17])).output.logits
    assert isinstance(read, TopAnswers)
    logits = model(batch([3, 17]).inputs).detach()
    values, indices = logits.log_softmax(-1).topk(5)
    assert torch.equal(read.indices, indices)
    torch.testing.assert_close(read.log_probabilities, values, rtol=0, atol=2e-3)  # two bytes a number
    for temperature in (1.0, 2.0):
        p = (logits / temperature).softmax(-1)
        expected = torch.cat([p.gather(-1, indices), 1 - p.gather(-1, indices).sum(-1, keepdim=True)], -1)
        torch.testing.assert_close(read.at(temperature).exp(), expected, rtol=2e-3, atol=1e-4)


def test_the_whole_vocabulary_is_never_written(model, tmp_path):
    teacher, _ = filled(model, tmp_path)
    # Two bytes for each value and each number, four for each rest, and a mark for each of the four fields.
    assert teacher.bytes_per_sample == LENGTH * (5 * (2 + 2) + 2 * 4) + 4 * 8
    assert teacher.bytes_per_sample < 4 * LENGTH * WORDS
    assert not teacher.holds_answers


def test_what_is_lost_is_measured_at_each_temperature(model, tmp_path):
    _, found = filled(model, tmp_path)
    logits = model(batch(range(10, 20)).inputs).detach().double()
    for temperature in (1.0, 2.0):
        p = (logits / temperature).softmax(-1).numpy()
        order = np.argsort(-p, -1)
        rebuilt, rest = p.copy(), np.take_along_axis(p, order[..., 5:], -1).sum(-1)
        np.put_along_axis(rebuilt, order[..., 5:], (rest / (WORDS - 5))[..., None], -1)
        measured = found[f"+logits+top5+rest+{temperature}"]
        assert measured.rest == pytest.approx(rest.mean(), rel=1e-3)
        assert measured.divergence == pytest.approx((p * np.log(p / rebuilt)).sum(-1).mean(), rel=1e-2)
    assert "% of the probability in classes not kept" in str(measured)
    known = json.loads((tmp_path / "header.json").read_text())["fields"]
    assert known["+logits+top5+rest+2.0"]["exactness"] == list(measured)


def test_padding_takes_no_part_in_what_is_measured(model, tmp_path):
    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = model

        def forward(self, input_ids, attention_mask):
            answers = self.inner(input_ids)
            return torch.where(attention_mask.bool().unsqueeze(-1), answers, 1e3 * answers)

    def padded(numbers):
        given = batch(numbers)
        mask = torch.ones_like(given.inputs)
        mask[:, 2:] = 0
        return given._replace(inputs={"input_ids": given.inputs, "attention_mask": mask})

    found = cached(Masked(), tmp_path).fit([padded(range(10)), padded(range(10, 20))])
    p = model(batch(range(10, 20)).inputs[:, :2]).detach().softmax(-1).sort(-1, descending=True).values
    assert found["+logits+top5+rest+1.0"].rest == pytest.approx(float(p[..., 5:].sum(-1).mean()), rel=1e-2)


def test_another_temperature_may_be_added_later_and_what_is_there_stays(model, tmp_path):
    filled(model, tmp_path)
    before = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "+logits+top5+values").glob("*.rows")}
    teacher, found = filled(model, tmp_path, temperatures=(1.0, 2.0, 3.0))
    assert "+logits+top5+rest+3.0" in found
    assert 3.0 in teacher(batch([0])).output.logits.rest
    after = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "+logits+top5+values").glob("*.rows")}
    assert before == after


def test_a_row_that_was_changed_is_found_and_computed_again(model, tmp_path):
    filled(model, tmp_path)
    assert all(each.damaged == 0 and each.rows == 20 for each in inspect_cache(tmp_path, check=True).fields)
    file = next((tmp_path / "+logits+top5+classes").glob("*.rows"))
    content = bytearray(file.read_bytes())
    content[0] ^= 1
    file.write_bytes(bytes(content))
    damaged = {each.name: each.damaged for each in inspect_cache(tmp_path, check=True).fields}
    assert damaged["+logits+top5+classes"] == 1
    again = cached(model, tmp_path)
    assert torch.equal(again(batch([0])).output.logits.indices, model(batch([0]).inputs).topk(5).indices)
    assert again.uses.computed == 1


def test_a_teacher_whose_classes_are_in_another_order_is_noticed(model, tmp_path):
    filled(model, tmp_path)
    cached(model, tmp_path).check(batch(range(8)))
    order = torch.randperm(WORDS, generator=torch.Generator().manual_seed(3))
    model[1].weight.data, model[1].bias.data = model[1].weight.data[order], model[1].bias.data[order]
    with pytest.raises(CacheError, match=r"'\+logits\+top5\+classes' differs"):
        cached(model, tmp_path).check(batch(range(8)))


def test_equal_logits_in_another_order_are_not_taken_for_another_teacher(model, tmp_path):
    model[1].weight.data[10:] = 0  # 40 of 50 words are equally probable
    model[1].bias.data[10:] = 0.1
    filled(model, tmp_path)
    cached(model, tmp_path).check(batch(range(8)))


@pytest.mark.parametrize(
    ("shape", "answers"), [((50,), ()), ((4, 50), (4,)), ((50, 3, 2), (3, 2))], ids=["vector", "tokens", "pixels"]
)
def test_answers_of_every_shape_come_back(shape, answers):
    form = MostProbable(shape, 3, [1.0])
    logits = torch.randn(2, *shape)
    values = form.of(logits)
    assert {name: tuple(each.shape[1:]) for name, each in values.items()} == {
        name: each.shape for name, each in form.fields.items()
    }
    read = form.answers(values)
    assert read.indices.shape == (2, *answers, 3)
    assert read.classes == 50


@pytest.mark.parametrize("deviation", [1.0, 20.0])
@pytest.mark.parametrize("mean", [0.0, 30.0])
def test_another_rounding_in_half_precision_is_the_same_teacher_and_another_teacher_is_not(deviation, mean):
    torch.manual_seed(0)
    logits, others = (torch.randn(20, 1000) * deviation + mean for _ in range(2))
    stored = logits.bfloat16()
    # What another size of the batch does to bfloat16: up to one step either way before it is rounded.
    again = (logits * (1 + (torch.rand_like(logits) - 0.5) * torch.finfo(torch.bfloat16).eps)).bfloat16()

    def answer(output):
        return output

    for form in (MostProbable((1000,), 5, [1.0]), WholeAnswers((1000,))):
        apart = [
            max(
                form.apart(form.of(now), form.of(stored), rounding=rounding_of(now, lambda each: each, "bf16")).values()
            )
            for now in (again, others.bfloat16())
        ]
        # What a cache admits in half precision is 0.05.
        assert apart[0] < 0.05 < apart[1]
    assert rounding_of(stored, answer, "no") == 0.0


@pytest.mark.parametrize("kept", [1, 5])
def test_in_half_precision_the_same_numbers_of_other_classes_are_another_teachers(kept):
    torch.manual_seed(0)
    logits = 10 * torch.randn(20, 50)
    form, rounding = MostProbable((50,), kept, [1.0]), rounding_of(logits, lambda each: each, "bf16")
    assert max(form.apart(form.of(logits.roll(1, 1)), form.of(logits), rounding=rounding).values()) > 0.5


def test_of_a_committee_the_logits_of_its_members_are_rounded_and_not_their_mean():
    members = Committee([nn.Embedding(2, 3), nn.Embedding(2, 3)])
    with torch.no_grad():
        for each in members.parameters():
            each.fill_(16.0)
    answer = members(torch.tensor([0, 1]))
    assert answer.logits.abs().max() < 2
    assert rounding_of(answer, lambda each: each.logits, "bf16") == 0.125
