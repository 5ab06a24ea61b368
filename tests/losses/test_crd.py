import math

import pytest
import torch
import torch.nn.functional as F

from limbeck.context import Context, Heads
from limbeck.errors import DataError, RecipeError
from limbeck.features import Feature
from limbeck.links import FeatureSpec, Link
from limbeck.losses import CRD


def context(*numbers: int, targets: list[int] | None = None) -> Context:
    keys = torch.tensor([[number, 0] for number in numbers])
    return Context(targets=None if targets is None else torch.tensor(targets), keys=keys)


def pair(batch: int = 3) -> tuple[Feature, Feature]:
    return Feature(torch.randn(batch, 2, 4)), Feature(torch.randn(batch, 1, 6))


def embedded(loss: CRD, student: Feature, teacher: Feature) -> tuple[torch.Tensor, torch.Tensor]:
    mine, theirs = loss.student_map(student.x.mean(1)), loss.teacher_map(teacher.x.mean(1))
    return F.normalize(mine, dim=1).detach(), F.normalize(theirs, dim=1).detach()


def one_way(anchors, memory, numbers, *, temperature: float, negatives) -> float:
    """Eq. 17 and 18 of the paper, one anchor and one negative at a time; ``negatives(number)`` are those it meets."""
    total, samples = 0.0, len(memory)
    likeness = [
        [math.exp(float(anchor @ memory[k]) / temperature) for k in (number, *negatives(number))]
        for anchor, number in zip(anchors, numbers, strict=True)
    ]
    flat = [each for row in likeness for each in row]
    normaliser = samples * sum(flat) / len(flat)
    for row in likeness:
        share = (len(row) - 1) / samples
        for k, value in enumerate(row):
            p = value / normaliser
            total -= math.log((p if k == 0 else share) / (p + share + 1e-7))
    return total / len(likeness)


def test_value_by_the_formula_of_the_paper():
    loss = CRD(7, 4, 6, negatives=None, embedding=5)
    student, teacher = pair()
    memories = loss.student_memory.clone(), loss.teacher_memory.clone()
    mine, theirs = embedded(loss, student, teacher)
    numbers = [5, 0, 2]

    def others(number):
        return [k for k in range(7) if k != number]

    expected = one_way(mine, memories[1], numbers, temperature=0.07, negatives=others)
    expected += one_way(theirs, memories[0], numbers, temperature=0.07, negatives=others)
    assert loss(student, teacher, context(*numbers)).item() == pytest.approx(expected, rel=1e-4)


def test_value_by_hand():
    loss = CRD(2, 1, 1, negatives=None, embedding=1, temperature=1.0)
    for layer in (loss.student_map, loss.teacher_map):
        torch.nn.init.ones_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    loss.student_memory.copy_(torch.tensor([[1.0], [1.0]]))
    loss.teacher_memory.copy_(torch.tensor([[1.0], [1.0]]))
    feature = Feature(torch.ones(1, 1, 1))
    # All exponentials are e, Z is 2 e: p is 1/2 and K / S is 1/2, so that every logarithm is log 1/2: two in each way.
    assert loss(feature, feature, context(0)).item() == pytest.approx(4 * math.log(2), rel=1e-5)


def test_the_memory_moves_towards_what_was_seen():
    loss = CRD(7, 4, 6, negatives=3, embedding=5, momentum=0.25)
    student, teacher = pair(2)
    before = loss.student_memory.clone(), loss.teacher_memory.clone()
    now = embedded(loss, student, teacher)
    loss(student, teacher, context(4, 1))
    for old, new, memory in zip(before, now, (loss.student_memory, loss.teacher_memory), strict=True):
        for row, number in enumerate((4, 1)):
            moved = 0.25 * old[number] + 0.75 * new[row]
            assert torch.allclose(memory[number], moved / moved.norm(), atol=1e-6)
        assert torch.equal(memory[[0, 2, 3, 5, 6]], old[[0, 2, 3, 5, 6]])


def test_the_normaliser_is_that_of_the_first_batch():
    loss = CRD(7, 4, 6, negatives=3)
    loss(*pair(), context(0, 1, 2))
    first = loss.normaliser.clone()
    loss(*pair(), context(3, 4, 5))
    assert (first > 0).all()
    assert torch.equal(loss.normaliser, first)


def test_evaluation_remembers_nothing_and_takes_keys_of_other_data():
    loss = CRD(7, 4, 6, negatives=3)
    loss(*pair(), context(0, 1, 2))
    loss.eval()
    before = {name: each.clone() for name, each in loss.state_dict().items()}
    assert torch.isfinite(loss(*pair(), context(100, 200, 300)))
    assert all(torch.equal(each, before[name]) for name, each in loss.state_dict().items())


def test_a_sample_is_never_its_own_negative():
    loss = CRD(3, 4, 6, negatives=500)
    others = loss._others(torch.tensor([0, 1, 2]))
    assert not (others == torch.tensor([[0], [1], [2]])).any()
    assert others.unique().tolist() == [0, 1, 2]


def test_samples_of_the_same_class_are_no_negatives():
    loss = CRD(6, 4, 6, negatives=None, other_classes=True, embedding=5)
    classes = [0, 0, 1, 1, 1, 2]
    loss.labels.copy_(torch.tensor(classes))
    counts = loss._counts(loss._others(torch.tensor([2])), torch.tensor([1]))
    # Sample 2 meets 3, 4, 5, 0, 1 in this order: those of class 1 not at all, the three others for five.
    assert counts.tolist() == [pytest.approx([0.0, 0.0, 5 / 3, 5 / 3, 5 / 3])]


def test_labels_are_remembered():
    loss = CRD(6, 4, 6, negatives=3, other_classes=True)
    loss(*pair(), context(5, 0, 2, targets=[7, 8, 9]))
    assert loss.labels.tolist() == [8, -1, 9, -1, -1, 7]


def test_the_same_sample_comes_closer_than_others():
    loss = CRD(16, 4, 6, negatives=None, embedding=8)
    teacher = Feature(torch.randn(16, 1, 6))
    student = Feature(torch.cat([teacher.x[..., :3], torch.randn(16, 1, 1)], -1))
    optimizer = torch.optim.Adam(loss.parameters(), lr=0.02)
    for _ in range(100):
        optimizer.zero_grad()
        loss(student, teacher, context(*range(16))).backward()
        optimizer.step()
    mine, theirs = embedded(loss, student, teacher)
    assert ((mine @ theirs.T).argmax(1) == torch.arange(16)).float().mean() > 0.9


def test_keys_outside_of_the_data_are_refused_in_training():
    with pytest.raises(DataError, match="numbered from 0 to 6. Found keys from 1 to 7"):
        CRD(7, 4, 6, negatives=3)(*pair(2), context(1, 7))


def test_a_batch_without_keys_is_refused():
    with pytest.raises(DataError, match="keys"):
        CRD(7, 4, 6, negatives=3)(*pair(2))


def test_missing_labels_are_refused_where_they_are_needed():
    with pytest.raises(DataError, match="one integer label"):
        CRD(7, 4, 6, negatives=3, other_classes=True)(*pair(2), context(1, 2))


def test_the_number_of_samples_must_be_given():
    link = Link(FeatureSpec("a", "BC", 4), FeatureSpec("b", "BC", 6))
    with pytest.raises(RecipeError, match="samples="):
        CRD.for_link(link, Heads())
    assert CRD.for_link(link, Heads(), samples=9).student_memory.shape == (9, 128)


def test_a_temperature_of_zero_is_refused():
    with pytest.raises(RecipeError, match="positive temperature"):
        CRD(7, 4, 6, temperature=0.0)


@pytest.mark.compiled
def test_the_memory_moves_in_compiled_code_too():
    torch._dynamo.reset()
    plain = CRD(7, 4, 6, negatives=None)
    twin = CRD(7, 4, 6, negatives=None)
    twin.load_state_dict(plain.state_dict())
    features = pair(2)
    torch.compile(twin, fullgraph=True, backend="eager")(*features, context(4, 1))
    plain(*features, context(4, 1))
    assert torch.allclose(plain.teacher_memory, twin.teacher_memory, atol=1e-6)
