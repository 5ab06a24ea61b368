"""The student, what it learns from, and the one loss that comes of it."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from limbeck.balancers.family import FEATURE, OUTPUT, Balancer, TapNorms
from limbeck.batch import Batch, ReadOutput, logits_of, read_logits
from limbeck.capture.capture import Capture, Captured
from limbeck.context import Context
from limbeck.distiller.dropping import Dropping
from limbeck.distiller.names import unique_names
from limbeck.distiller.tap_norms import gradient_shares, measure, over_processes
from limbeck.distiller.term import Term
from limbeck.distiller.term_group import TermGroup
from limbeck.errors import DataError, RecipeError
from limbeck.links import FeatureSpec
from limbeck.outputs.family import OutputLoss
from limbeck.outputs.labelled import labels_at_answers
from limbeck.schedules.family import Schedule, Strength
from limbeck.sharding import shards

_FORGOTTEN = 200


class DistillOutput(NamedTuple):
    """What one forward of the distiller gave.

    Attributes:
        loss: the one number to call ``backward`` on.
        terms: every loss before it was weighed, in the order of :attr:`Distiller.names`.
        weights: what each was multiplied with.
        student: what the student returned.
    """

    loss: Float[Tensor, ""]
    terms: Float[Tensor, " L"]
    weights: Float[Tensor, " L"]
    student: Any


class Distiller(nn.Module):
    """Runs the student, compares it with the teacher, and weighs the terms.

    The teacher is an argument and no submodule: the state dict holds the student and the projectors only, DDP and FSDP
    see exactly what is trained, and a cache of features can stand in for the model. Call :meth:`step` after each
    optimizer step, so that balancer and schedule move on.

    Args:
        student: trained in place.
        terms: feature terms, or groups of them joined by an association.
        outputs: output losses.
        balancer: weighs the terms; its groups are ``feature`` for each term, then ``output`` for each output loss.
        schedule: how strongly each group acts as training goes on; ``None`` for constantly.
        total_steps: optimizer steps of the whole training; a schedule needs it.
        read_output: takes the logits from what a model returned.
        next_token: whether the answer at a position is to be the label of the position behind it, as in causal language
            models whose labels are their inputs; output losses get the labels moved.
        dropping: which members of a committee of teachers are left out of a step of the training; ``None`` for none.
            Of a term that is left out, loss and weight are 0.

    Example:
        >>> from limbeck.balancers import Fixed
        >>> from limbeck.outputs import CrossEntropy
        >>> student = nn.Linear(4, 3)
        >>> distiller = Distiller(student, outputs=[CrossEntropy()], balancer=Fixed(["output"], output=1.0))
        >>> out = distiller(Batch(torch.zeros(2, 4), torch.tensor([0, 1])))
        >>> out.loss.backward()
        >>> distiller.step()
    """

    def __init__(
        self,
        student: nn.Module,
        *,
        terms: Sequence[Term | TermGroup] = (),
        outputs: Sequence[OutputLoss] = (),
        balancer: Balancer,
        schedule: Schedule | None = None,
        total_steps: int | None = None,
        read_output: ReadOutput = read_logits,
        next_token: bool = False,
        dropping: Dropping | None = None,
    ) -> None:
        super().__init__()
        groups = (FEATURE,) * len(terms) + (OUTPUT,) * len(outputs)
        if balancer.groups != groups:
            raise DataError(
                f"The balancer must be built for the groups of these terms, {list(groups)}. Found "
                f"{list(balancer.groups)}. Write {type(balancer).__name__}({list(groups)})."
            )
        if schedule is not None and total_steps is None:
            raise DataError(f"{schedule} needs the length of the training. Give total_steps=.")
        self.student = student
        self.terms = nn.ModuleList(terms)
        self.outputs = nn.ModuleList(outputs)
        self.balancer = balancer
        self.schedule = schedule
        self.total_steps = total_steps
        self.read_output = read_output
        self.next_token = next_token
        self.dropping = dropping
        self.names = unique_names(terms, outputs)
        self._capture = Capture(student, self.student_sites)
        self._done = 0
        self._since_step = 0
        self._last: tuple[Tensor, TapNorms | None] | None = None
        self._norms: TapNorms | None = None

    @property
    def student_sites(self) -> tuple[FeatureSpec, ...]:
        """The student's sites that the terms read."""
        return tuple({term.link.student.site: term.link.student for term in self.every_term}.values())

    @property
    def teacher_sites(self) -> tuple[FeatureSpec, ...]:
        """The teacher's sites that the terms read."""
        return tuple({term.link.teacher.site: term.link.teacher for term in self.every_term}.values())

    @property
    def every_term(self) -> tuple[Term, ...]:
        """The terms of all links, those within groups too."""
        return tuple(member for each in self._terms for member in each.members)

    @property
    def needs_teacher(self) -> bool:
        """Whether any term compares with the teacher."""
        return bool(len(self.terms)) or self.needs_answers

    @property
    def needs_answers(self) -> bool:
        """Whether any term compares with the teacher's logits."""
        return any("teacher_output" in each.requires for each in self._outputs)

    @property
    def minimum_batch(self) -> int:
        """The smallest batch that every term can be computed on."""
        return max([part.minimum_batch for part in (*self._terms, *self._outputs)], default=1)

    @property
    def leaves_parameters_out(self) -> bool:
        """Whether a step may give some parameters no gradient, which DDP must be told."""
        drops = self.dropping is not None and self.dropping.probability > 0
        return drops or any(isinstance(each, TermGroup) and each.association.leaves_links_out for each in self._terms)

    @property
    def trains_answers(self) -> bool:
        """Whether an output loss acts at all; without one the student's answers are not learnt."""
        return bool((self._untouched_weights(self._end) * self.balancer.select(OUTPUT)).any())

    @property
    def answers_learnt(self) -> bool:
        """Whether the outputs have acted already, so far as schedule and steps done tell."""
        return self.schedule is None or self.progress > self.schedule.outputs_from

    @property
    def judging_weights(self) -> Float[Tensor, " L"]:
        """Weights by which losses of different steps compare: those at the end of the schedule, nothing measured yet.

        Where no output loss acts, features have their full strength, as a schedule may let them fade to nothing.
        """
        return self._untouched_weights(self._end if self.trains_answers else Strength())

    @property
    def progress(self) -> float:
        """Share of the training that is done."""
        return min(1.0, self._done / self.total_steps) if self.total_steps else 0.0

    def forward(self, batch: Batch, teacher: Captured | None = None) -> DistillOutput:
        """The loss on one batch.

        Args:
            batch: inputs and, where a loss requires them, labels.
            teacher: what the teacher gave for the same inputs.

        Raises:
            DataError: if a term compares with the teacher and none is given.
        """
        if teacher is None and self.needs_teacher:
            raise DataError(
                "This distiller compares with a teacher. Found none. Call distiller(batch, teacher(batch)); to only "
                "run the student, call distiller.student."
            )
        captured = self._capture(self._inputs(batch), batch.mask)
        kept = self._kept()
        each = self._losses(captured, teacher, batch, kept)
        losses = torch.stack(each)
        balanced = self.balancer(losses, self._strengths(losses, kept))
        if self.training and torch.is_grad_enabled():
            self._remember(each, losses.detach(), captured)
        return DistillOutput(balanced.total, losses.detach(), balanced.weights, captured.output)

    def read_student(self, batch: Batch) -> Captured:
        """Run the student and read its sites, without any loss."""
        return self._capture(batch.inputs, batch.mask)

    def labels(self, batch: Batch) -> Any:
        """The labels of a batch as output losses and metrics read them.

        Padding has -100, and each label stands at the position of the answer that it judges.
        """
        return labels_at_answers(batch.targets, batch.mask, next_token=self.next_token)

    def step(self) -> None:
        """Move balancer and schedule on; call it once after each optimizer step."""
        if self._last is not None:
            losses, norms = over_processes(*self._last)
            self.balancer.step(losses, norms)
            self._norms = self._norms if norms is None else norms
        self._last = None
        self._since_step = 0
        self._done += 1

    def gradient_shares(self, weights: Float[Tensor, " L"]) -> dict[str, float]:
        """By name, what part of the pull at its tap each feature term has; empty unless the balancer measures that.

        Args:
            weights: of the losses, as a forward gave them; the gradients are those that were measured last.
        """
        if self._norms is None:
            return {}
        outputs = self.balancer.select(OUTPUT)
        found = gradient_shares(self._norms, weights.to(outputs), self.balancer.shares, outputs).tolist()
        return {name: share for name, share in zip(self.names, found, strict=True) if math.isfinite(share)}

    def close(self) -> None:
        """Take the hooks off the student."""
        self._capture.close()

    def get_extra_state(self) -> Tensor:
        """Steps done, so that a schedule goes on where it was."""
        return torch.tensor(self._done)

    def set_extra_state(self, state: Tensor) -> None:
        """Restore the steps done."""
        self._done = int(state)

    @property
    def _terms(self) -> list[Term | TermGroup]:
        return [term for term in self.terms if isinstance(term, Term | TermGroup)]

    @property
    def _outputs(self) -> list[OutputLoss]:
        return [each for each in self.outputs if isinstance(each, OutputLoss)]

    def _inputs(self, batch: Batch) -> Any:
        if not any("student_loss" in each.requires for each in self._outputs):
            return batch.inputs
        if not isinstance(batch.inputs, Mapping):
            raise DataError(
                "A model's own loss needs inputs by name, with its labels among them. Found "
                f"{type(batch.inputs).__name__}. Yield dicts from the loader, or use CrossEntropy."
            )
        return {**batch.inputs, "labels": batch.targets}

    def _kept(self) -> list[float]:
        """By what the weight of each term is multiplied in this step: 0 where its member is left out."""
        if self.dropping is None or not self.training:
            return [1.0] * len(self.terms)
        factors = dict(zip(self.dropping.members, self.dropping.factors(self._done), strict=True))
        return [factors.get(term.member, 1.0) for term in self._terms]

    def _losses(
        self, captured: Captured, teacher: Captured | None, batch: Batch, kept: Sequence[float]
    ) -> list[Float[Tensor, ""]]:
        theirs = {} if teacher is None else teacher.features
        context = Context(targets=batch.targets, keys=batch.keys)
        whole = self.balancer.reads_losses
        losses = [
            term(captured.features, theirs, context) if whole or factor > 0 else self.balancer.shares.new_zeros(())
            for term, factor in zip(self.terms, kept, strict=True)
        ]
        if len(self.outputs):
            answered = context._replace(
                mask=batch.mask,
                student_output=self.read_output(captured.output),
                teacher_output=self._answers(teacher),
                student_loss=getattr(captured.output, "loss", None),
            )
            moved = answered._replace(targets=self.labels(batch))
            losses += [each(answered if each.raw_labels else moved) for each in self._outputs]
        return [loss.to(torch.float32) if loss.dtype.itemsize < 4 else loss for loss in losses]

    def _answers(self, teacher: Captured | None) -> Any:
        """The teacher's logits, if a loss reads them: a teacher that is stopped early has none."""
        return logits_of(teacher.output, self.read_output) if teacher is not None and self.needs_answers else None

    def _strengths(self, losses: Float[Tensor, " L"], kept: Sequence[float]) -> Float[Tensor, " L"] | None:
        if self.schedule is None and self.dropping is None:
            return None
        scheduled = self._spread(Strength() if self.schedule is None else self.schedule(self.progress))
        return (scheduled * torch.tensor([*kept, *[1.0] * len(self.outputs)])).to(losses)

    def _spread(self, strength: Strength) -> Float[Tensor, " L"]:
        return torch.tensor([strength.feature] * len(self.terms) + [strength.output] * len(self.outputs))

    @property
    def _end(self) -> Strength:
        return Strength() if self.schedule is None else self.schedule(1.0)

    def _untouched_weights(self, strength: Strength) -> Float[Tensor, " L"]:
        balancer = copy.deepcopy(self.balancer)
        balancer.reset()
        return balancer(torch.ones_like(balancer.shares), self._spread(strength).to(balancer.shares)).weights

    def _require_parts_of_their_own(self) -> None:
        """Refuse what is measured inside of this forward to need weights that only its end would gather again."""
        if not shards(self):
            return
        learnt = (each for each in (*self.terms, *self.outputs) if any(True for _ in each.parameters()))
        if not all(shards(each) for each in learnt):
            raise RecipeError(
                f"{type(self.balancer).__name__} measures gradients, for which each term must be sharded by itself. "
                "Found a distiller sharded as a whole. Call fully_shard on each of distiller.terms and "
                "distiller.outputs, or use balancer: {kind: Fixed}."
            )

    def _remember(self, each: Sequence[Float[Tensor, ""]], losses: Float[Tensor, " L"], captured: Captured) -> None:
        every = self.balancer.measure_every
        norms = None
        if every and self._done % every == 0:
            self._require_parts_of_their_own()
            sites = [term.tap for term in self._terms]
            norms = measure(each, captured, sites, self.balancer.shares)
        self._last = (losses, norms)
        self._since_step += 1
        if self._since_step == _FORGOTTEN and (self.schedule is not None or every):
            warnings.warn(
                f"{_FORGOTTEN} batches have passed without distiller.step(): balancer and schedule stand still. "
                "Call distiller.step() after each optimizer step.",
                stacklevel=3,
            )
