"""Looks at a network once before training: its sites, their layouts, its head and its cost."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from torch import Tensor, nn

from limbeck.batch import Batch, ReadOutput, first_tensor, read_logits, unwrap
from limbeck.capture.address import Address
from limbeck.capture.anatomy import Anatomy
from limbeck.capture.cut_points import Dataflow
from limbeck.capture.heads import Head, find_head, guess_head
from limbeck.capture.layouts import Layout, check_statements
from limbeck.capture.order import stands_in_rows
from limbeck.capture.reading import gradient_of, position_read
from limbeck.capture.sites import Found, Place, SiteFinder
from limbeck.capture.specs import to_specs
from limbeck.capture.stages import grouped, without_side_blocks
from limbeck.capture.trace import Trace
from limbeck.capture.untouched import untouched
from limbeck.capture.views import SAMPLES, Views
from limbeck.errors import LayoutError, SiteError


def probe(
    model: nn.Module,
    batch: Batch,
    *,
    layouts: Mapping[str, str] | None = None,
    output: ReadOutput | None = None,
    sites: Sequence[str] | None = None,
) -> Anatomy:
    """Find where a network can be distilled at and what it computes there.

    Runs the model a few times on two or three samples, in evaluation mode and with fixed random numbers, and leaves it
    as it was.

    Args:
        model: any module that runs on the batch.
        batch: one batch of the data; only its first samples are used.
        layouts: axes of sites that cannot be inferred, such as ``{"encoder": "BNC"}``; they override inference.
        output: reads the logits in what the model returns; :func:`limbeck.batch.read_logits` if not given.
        sites: look at these sites only, instead of proposing some; ``*`` stands for one part of a name (``blocks.*``).

    Raises:
        ModelError: if the model does not run on the batch, or returns no tensor.
        SiteError: if one of ``sites`` does not exist or does not fire, or the model has no site at all.
        LayoutError: if the axes of a site cannot be told apart.

    Example:
        >>> import torch
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
        >>> anatomy = probe(model, Batch(torch.randn(5, 4)))
        >>> [spec.site for spec in anatomy.specs], anatomy.head, anatomy.output_shape
        (['1', '4:input'], '4', (2, 3))
    """
    model = unwrap(model)
    stated = dict(layouts or {})
    with untouched(model):
        look = _Look.at(model, batch, output or read_logits)
        chosen = _proposed(look, stated) if sites is None else _asked(look, model, sites)
        if not chosen.places:
            raise SiteError(
                f"{type(model).__name__} needs at least one module between its input and its output. Found none that "
                "runs on every sample. Name the sites with sites=, or take the network apart into modules."
            )
        check_statements(stated, [each.site for each in chosen.places])
        known = {each.site: look.views.layout(each, stated.get(each.site)) for each in chosen.places}
        disorder = _without_false_grids(look, known)
        trunk = chosen.trunk if sites is not None else without_side_blocks(chosen.trunk, known)
        read = _positions_read(look, [*trunk, *chosen.ending], known)
        specs = to_specs(trunk, chosen.last, known, read, padded=batch.mask is not None, named=sites is not None)
    return Anatomy(
        specs=tuple(specs),
        head=None if look.head.call is None else look.head.call.name,
        method=look.found.method if sites is None else "named by the user",
        notes=tuple(note for note in (*chosen.notes, look.head.note, disorder) if note),
        output_shape=None if look.logits is None else tuple(look.logits.shape),
        costs=_costs(chosen.places, {each.site for each in specs}, look.views.main),
        parameters=sum(each.numel() for each in model.parameters()),
        macs=look.views.main.macs // SAMPLES,
    )


class _Look(NamedTuple):
    """What one look at a model gave."""

    views: Views
    logits: Tensor | None
    answer: Tensor
    head: Head
    found: Found
    last: Place | None

    @classmethod
    def at(cls, model: nn.Module, batch: Batch, output: ReadOutput) -> _Look:
        views = Views(model, batch)
        logits = output(views.main.answer)
        answer = first_tensor(views.main.answer if logits is None else logits)
        flow = None if answer.grad_fn is None else Dataflow([(answer.grad_fn, answer.output_nr)])
        if logits is None:
            head = Head(None)
        else:
            head = guess_head(views.main, answer) if flow is None else find_head(views.main, flow)
        finder = SiteFinder(model, views.main, flow, head)
        found = finder.trunk()
        return cls(views, None if logits is None else answer, answer, head, found, finder.last(found.places))


class _Chosen(NamedTuple):
    """The sites to describe."""

    trunk: list[Place]
    last: Place | None
    notes: list[str]

    @property
    def ending(self) -> list[Place]:
        return [] if self.last is None else [self.last]

    @property
    def places(self) -> list[Place]:
        return list({each.site: each for each in (*self.trunk, *self.ending)}.values())


def _proposed(look: _Look, stated: Mapping[str, str]) -> _Chosen:
    """The sites found, without those at which samples are folded together with something else."""
    usable = [each for each in look.found.places if each.site in stated or look.views.keeps_samples_apart(each)]
    notes = list(look.found.notes)
    if len(usable) < len(look.found.places):
        left_out = ", ".join(f"'{each.site}'" for each in look.found.places if each not in usable)
        notes.append(f"Left out, because their first axes hold more than the samples: {left_out}.")
    return _Chosen(usable, look.last, notes)


def _asked(look: _Look, model: nn.Module, sites: Iterable[str]) -> _Chosen:
    """The sites that the user names, in order of execution."""
    trace = look.views.main
    names = dict.fromkeys(name for site in sites for name in (_matching(site, trace) if "*" in site else [site]))
    places = sorted((_named(model, name, trace) for name in names), key=lambda each: each.moment)
    last = next((each for each in places if look.last is not None and each.site == look.last.site), None)
    return _Chosen([each for each in places if each is not last], last, [])


def _matching(pattern: str, trace: Trace) -> list[str]:
    """The sites whose module's name fits a pattern, among the modules that ran and returned a tensor."""
    module, *rest = re.split("(?=[:@[])", pattern, maxsplit=1)
    fits = re.compile(re.escape(module).replace(r"\*", "[^.]+")).fullmatch
    found = dict.fromkeys(each.name for each in trace.calls if each.outputs and fits(each.name))
    if not found:
        raise SiteError(
            f"A pattern of sites needs modules that fit it. Found none for '{pattern}' among those that run. Write one "
            "'*' for each part of the name, as in 'blocks.*' (`limbeck inspect MODEL` lists the sites)."
        )
    return ["".join((name, *rest)) for name in found]


def _named(model: nn.Module, site: str, trace: Trace) -> Place:
    address = Address.parse(site)
    address.find(model)
    call = trace.find(address.module, address.call)
    place = None if call is None else Place(site, call, address.item, address.reads_input)
    if place is None or len(place.tensors) <= address.item:
        raise SiteError(
            f"Site '{site}' gave no tensor in a forward of {type(model).__name__}. "
            "Choose a module that runs, and one of the tensors that it returns (`limbeck inspect MODEL` lists them)."
        )
    return place


def _without_false_grids(look: _Look, layouts: dict[str, Layout]) -> str:
    """Take the grids away from tokens that do not stand in the image's rows; returns a note, empty if they do."""
    tokens = [site for site, each in layouts.items() if each.axes == "BNC" and each.grid and len(each.grid) == 2]
    first = next((each for each in look.found.places if each.site in tokens), None)
    images = [each.tensor for each in look.views.main.calls[-1].inputs if len(each.shape) == 4]
    if first is None or stands_in_rows(first, layouts[first.site], images[0] if images else None):
        return ""
    for site in tokens:
        layouts[site] = layouts[site]._replace(grid=(layouts[site].positions - layouts[site].prefix,))
    return "The tokens do not stand in the order of the image's rows: they are read as a sequence, not as a grid."


def _positions_read(look: _Look, places: Sequence[Place], layouts: Mapping[str, Layout]) -> dict[str, int | None]:
    """The position that the head reads at each site.

    Asked at the end of the trunk only: behind earlier blocks every position reaches the head. Sites whose axes and
    positions are those of a site at the end share its answer.
    """
    mask = look.views.mask
    readers = _what_heads_read(look)
    answers: dict[tuple[str, int, int], int | None] = {}
    for place in grouped(look.found.places)[-1] if look.found.places else []:
        with suppress(LayoutError):  # raised where the site is described, if it is to be
            layout = layouts.get(place.site) or look.views.layout(place, None)
            answers[layout.axes, layout.positions, layout.prefix] = position_read(place, layout, readers, mask)
    read = {}
    for place in places:
        layout = layouts[place.site]
        if look.last is not None and place.site == look.last.site:
            read[place.site] = position_read(place, layout, [look.answer], mask)
        else:
            read[place.site] = answers.get((layout.axes, layout.positions, layout.prefix))
    return read


def _what_heads_read(look: _Look) -> list[Tensor]:
    """The inputs of the heads, at the numbers that reach the logits."""
    inputs = [tensor for each in look.head.calls if each.inputs and (tensor := each.inputs[0].tensor) is not None]
    return [_reached(look.answer, each) for each in inputs] or [look.answer]


def _reached(answer: Tensor, tensor: Tensor) -> Tensor:
    gradient = gradient_of(answer, tensor)
    # A head that starts at zero (its gradient is zero everywhere) tells nothing: then everything counts.
    return tensor if gradient is None or not gradient.any() else tensor * (gradient != 0)


def _costs(places: Sequence[Place], sites: set[str], trace: Trace) -> dict[str, float]:
    """Share of the work that is done when a site fires; of the calls, if no work could be counted."""
    total = trace.macs or trace.calls[-1].left
    done = {each.site: each.macs if trace.macs else each.moment for each in places if each.site in sites}
    return {site: max(1, each) / total for site, each in done.items()}
