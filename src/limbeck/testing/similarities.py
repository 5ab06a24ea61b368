"""Checks of similarities."""

from __future__ import annotations

from collections.abc import Callable

import torch

from limbeck.errors import DataError
from limbeck.features import Feature, Features
from limbeck.similarity.family import Similarity
from limbeck.testing.components import require_example, require_formula_and_source
from limbeck.testing.running import require, run
from limbeck.testing.samples import normal, random_mask

MakeSimilarity = Callable[[], Similarity]


def check_similarity(make: MakeSimilarity, /) -> None:
    """Check a similarity against everything that its family promises.

    Args:
        make: builds a new one: the class itself, or a function that adds options.

    Raises:
        ContractError: naming the first check that finds a promise unkept.

    Example:
        >>> from limbeck.similarity import MinibatchCKA
        >>> check_similarity(MinibatchCKA)
    """
    run(SIMILARITY_CHECKS, make)


def check_table(make: MakeSimilarity, /) -> None:
    """A finite number for each student site (row) and teacher site (column), in given order."""
    similarity = make()
    for seed in range(3):
        similarity.update(*_features(seed))
    table = similarity.compute()
    require(table.shape == (2, 3), f"must give a row for each of 2, a column for each of 3 sites. Found {table.shape}")
    require(torch.isfinite(table).all(), f"must be finite. Found {table}")


def check_recognises(make: MakeSimilarity, /) -> None:
    """The teacher site that is a rotation of the student's is the most alike of all."""
    similarity = make()
    for seed in range(6):
        similarity.update(*_features(seed))
    best = similarity.compute().argmax(1).tolist()
    require(best == [0, 1], f"must find the site that was made of the student's. Found sites {best} instead of [0, 1]")


def check_unrelated(make: MakeSimilarity, /) -> None:
    """Features that have nothing to do with each other are not alike, however many channels they have."""
    similarity = make()
    for seed in range(0, 24, 2):
        wide = Feature(normal(16, 1, 60, seed=seed)), Feature(normal(16, 1, 60, seed=seed + 1))
        similarity.update({"a": wide[0]}, {"b": wide[1]})
    value = similarity.compute().item()
    require(value < 0.2, f"must not find unrelated features alike. Found {value}")


def check_constant_site(make: MakeSimilarity, /) -> None:
    """A site that never varies is finite and alike to nothing."""
    similarity = make()
    for seed in range(3):
        student, teacher = _features(seed)
        similarity.update({**student, "dead": Feature(torch.ones(16, 1, 4))}, teacher)
    row = similarity.compute()[2]
    require(
        torch.isfinite(row).all() and (row.abs() < 0.1).all(), f"must find a dead site alike to nothing. Found {row}"
    )


def check_masked(make: MakeSimilarity, /) -> None:
    """Positions that are not valid do not count."""
    found = []
    for fill in (1.0, 100.0):
        similarity = make()
        for seed in range(3):
            mask = random_mask(16, 6, seed=seed)
            x = torch.where(mask.unsqueeze(-1), normal(16, 6, 5, seed=seed), fill * normal(16, 6, 5, seed=seed + 50))
            similarity.update({"a": Feature(x, (6,), 0, mask)}, {"b": Feature(normal(16, 1, 4, seed=seed + 9))})
        found.append(similarity.compute())
    require(
        torch.allclose(found[0], found[1], rtol=1e-4, atol=1e-6),
        f"must not look at positions that are not valid. Found {found[0].item()} and {found[1].item()}",
    )


def check_repeatable(make: MakeSimilarity, /) -> None:
    """Asked twice, or with features in half precision, it gives about the same; it keeps no graph, changes nothing."""
    similarity, half = make(), make()
    for seed in range(3):
        student, teacher = _features(seed)
        before = [each.x.clone() for each in student.values()]
        student = {site: each._replace(x=each.x.requires_grad_()) for site, each in student.items()}
        similarity.update(student, teacher)
        half.update(
            *({site: each._replace(x=each.x.bfloat16()) for site, each in side.items()} for side in (student, teacher))
        )
        same = all(torch.equal(one, each.x) for one, each in zip(before, student.values(), strict=True))
        require(same, "must not modify its inputs. Found other values after the call")
    first, second = similarity.compute(), similarity.compute()
    require(torch.equal(first, second), "must give the same when asked twice. Found a difference")
    require(not first.requires_grad, "must keep no graph. Found one")
    require(torch.allclose(half.compute(), first, atol=0.05), "must work on features in bfloat16. Found other values")


def check_too_little(make: MakeSimilarity, /) -> None:
    """With too few samples, or other sites than before, it says so."""
    similarity = make()
    student, teacher = _features(0)
    few = ({site: each._replace(x=each.x[:2]) for site, each in side.items()} for side in (student, teacher))
    similarity.update(*few)
    for refused in (similarity.compute, lambda: similarity.update({"another": student["a"]}, teacher)):
        try:
            found = refused()
        except DataError:
            continue
        require(False, f"must raise DataError for too few samples and for other sites. Found {found}")


def check_similarity_documented(make: MakeSimilarity, /) -> None:
    """Source, formula and example stand in the docstring."""
    require_example(make())
    require_formula_and_source(make())


SIMILARITY_CHECKS: tuple[Callable[[MakeSimilarity], None], ...] = (
    check_table,
    check_recognises,
    check_unrelated,
    check_constant_site,
    check_masked,
    check_repeatable,
    check_too_little,
    check_similarity_documented,
)
"""All checks of a similarity, each of which can be called with ``make``; for one test per check."""


def _features(seed: int) -> tuple[Features, Features]:
    """Two student sites, a rotation of each as teacher sites, and one that is neither."""
    a, b = normal(16, 1, 5, seed=seed), normal(16, 1, 5, seed=seed + 100)
    turn, _ = torch.linalg.qr(normal(5, 5, seed=999))
    student = {"a": Feature(a), "b": Feature(b)}
    teacher = {"A": Feature(a @ turn), "B": Feature(b @ turn), "other": Feature(normal(16, 1, 8, seed=seed + 200))}
    return student, teacher
