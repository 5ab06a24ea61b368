"""What each loss of a distiller is called in histories, reports and messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from limbeck.distiller.term import Term
from limbeck.distiller.term_group import TermGroup
from limbeck.outputs.family import OutputLoss


def unique_names(terms: Sequence[Term | TermGroup], outputs: Sequence[OutputLoss]) -> tuple[str, ...]:
    """The two sites of each term and the class of each output loss, with options and numbers where those are shared.

    Example:
        >>> from limbeck.outputs import CrossEntropy, SoftLabels
        >>> unique_names([], [CrossEntropy(), SoftLabels(temperature=2.0), SoftLabels(temperature=4.0)])
        ('CrossEntropy', 'SoftLabels(temperature=2.0)', 'SoftLabels(temperature=4.0)')
    """
    short = [*(term.name for term in terms), *(type(each).__name__ for each in outputs)]
    long = [*(f"{term.name}: {term.loss}" for term in terms), *map(str, outputs)]
    shared, seen = Counter(short), Counter[str]()
    names: list[str] = []
    for brief, full in zip(short, long, strict=True):
        name = brief if shared[brief] == 1 else full
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name} #{seen[name]}")
    return tuple(names)
