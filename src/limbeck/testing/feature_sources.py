"""Checks of where a teacher's features come from."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from limbeck.batch import Batch, tensors
from limbeck.capture.capture import Captured
from limbeck.teachers.feature_source import FeatureSource
from limbeck.testing.running import require, run


class _Subject:
    """A source, a batch to ask it, and what it must give, under the source's name."""

    def __init__(self, source: FeatureSource, batch: Batch, sites: Sequence[str], model: nn.Module | None) -> None:
        self.source = source
        self.batch = batch
        self.sites = sites
        self.model = model
        self.__name__ = type(source).__name__


def check_feature_source(
    source: FeatureSource, batch: Batch, /, *, sites: Sequence[str], model: nn.Module | None = None
) -> None:
    """Check a source of teacher features against everything that it promises.

    Args:
        source: a live teacher, or a cache.
        batch: one that it can answer.
        sites: which sites it must give.
        model: the teacher behind it, if there is one in this process: it must stay unchanged.

    Raises:
        ContractError: naming the first check that finds a promise unkept.
    """
    checks: list[Callable[[_Subject], None]] = [check_all_sites, check_no_graph, check_repeatable_answers]
    if model is not None:
        checks.append(check_teacher_unchanged)
    run(checks, _Subject(source, batch, sites, model))


def check_all_sites(subject: _Subject, /) -> None:
    """Every site is there, one row for each sample, all finite."""
    features = subject.source(subject.batch).features
    missing = [site for site in subject.sites if site not in features]
    require(not missing, f"must give every site. Found none of {missing}")
    for site in subject.sites:
        rows = len(features[site].x)
        require(rows == subject.batch.size, f"must give {subject.batch.size} samples at '{site}'. Found {rows}")
        require(torch.isfinite(features[site].x).all(), f"must be finite at '{site}'. Found NaN or infinity")


def check_no_graph(subject: _Subject, /) -> None:
    """Nothing of it requires a gradient, and no loss is kept from saving it for its backward pass."""
    with torch.enable_grad():
        given = _tensors(subject.source(subject.batch))
    require(
        not any(each.requires_grad for each in given), "must give no graph. Found a tensor that requires a gradient"
    )
    require(
        not any(each.is_inference() for each in given), "must use no_grad. Found inference tensors: losses refuse them"
    )


def check_repeatable_answers(subject: _Subject, /) -> None:
    """The same batch gives the same."""
    first, second = _tensors(subject.source(subject.batch)), _tensors(subject.source(subject.batch))
    same = len(first) == len(second) and all(torch.equal(one, other) for one, other in zip(first, second, strict=True))
    require(same, "must answer the same batch alike. Found a difference: is the teacher in eval mode?")


def check_teacher_unchanged(subject: _Subject, /) -> None:
    """The teacher is in evaluation mode, its parameters and buffers as before, without gradients."""
    model = subject.model
    if model is None:
        return
    before = {name: each.clone() for name, each in model.state_dict().items()}
    subject.source(subject.batch)
    require(
        not any(each.training for each in model.modules()), "must keep its teacher in eval mode. Found training mode"
    )
    after = model.state_dict()
    moved = [name for name in before if not torch.equal(before[name], after[name])]
    require(not moved, f"must not change its teacher. Found other values in {moved}")
    require(all(each.grad is None for each in model.parameters()), "must leave no gradient in its teacher. Found one")


def _tensors(captured: Captured) -> list[Tensor]:
    return [*tensors(captured.output), *(feature.x for feature in captured.features.values())]
