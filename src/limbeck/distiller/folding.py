"""A student that answers through the teacher's head, at no cost: head, target and projector folded into one layer."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from limbeck.distiller.term import Term
from limbeck.errors import PlanMismatch
from limbeck.features import Feature
from limbeck.links import FeatureSpec
from limbeck.targets.family import Target

_TOLERANCE = 1e-6


@torch.no_grad()
def fold_head(student: nn.Module, term: Term, teacher_head: nn.Linear, /, *, head: str) -> nn.Module:
    r"""A copy of the student whose head is the teacher's, read through the term's projector.

    SimKD, "Knowledge Distillation with the Reused Teacher Classifier" (Chen et al., CVPR 2022),
    https://arxiv.org/abs/2203.14001, keeps projector and teacher's head in the deployed student. Where projector and
    targets are affine, all of it is one matrix of the size that the student's own head had:

    $$ z(x) = W_t \, T^{-1}\bigl(P(x)\bigr) + b_t = W x + b $$

    with $P$ the projector and $T$ the targets, which are undone. It is computed in float64.

    Args:
        student: trained with the term; it is not changed.
        term: links what the student's head reads to what the teacher's head reads.
        teacher_head: the teacher's last linear layer.
        head: name of the student's head, a linear layer.

    Raises:
        PlanMismatch: if the term does not join what the two heads read, the student's head is no linear layer, sizes
            differ, or projector or targets are not affine or cannot be undone.

    Example:
        >>> from limbeck.links import Link
        >>> from limbeck.losses import MSE
        >>> from limbeck.projectors import Linear
        >>> specs = [FeatureSpec("1:input", "BC", size, role="head") for size in (8, 32)]
        >>> link = Link(*specs)
        >>> student, teacher_head = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 10)), nn.Linear(32, 10)
        >>> term = Term(link, loss=MSE(), projector=Linear.for_link(link))
        >>> folded = fold_head(student, term, teacher_head, head="1")
        >>> x = torch.randn(3, 4)
        >>> projected = term.projector(Feature(student[0](x).unsqueeze(1))).x.squeeze(1)
        >>> torch.allclose(folded(x), teacher_head(projected), atol=1e-5)
        True
    """
    own = _check(student, term, teacher_head, head)
    reused = head_on_targets(term, teacher_head)
    weight, bias = reused.weight, reused.bias
    if term.projector is not None:
        matrix, shift = _affine(term.projector, term.link.student, "projector")
        weight, bias = weight @ matrix, bias + weight @ shift
    folded = nn.Linear(own.in_features, len(bias), device=own.weight.device, dtype=own.weight.dtype)
    folded.weight.copy_(weight)
    folded.bias.copy_(bias)
    deployed = copy.deepcopy(student)
    deployed.set_submodule(head, folded.train(own.training))
    return deployed


@torch.no_grad()
def head_on_targets(term: Term, teacher_head: nn.Linear) -> nn.Linear:
    """The teacher's head, reading what the term's targets give of its own input; in float64, on the CPU.

    Raises:
        PlanMismatch: if a target is not affine or cannot be undone.
    """
    weight, bias = teacher_head.weight.double().cpu(), _bias(teacher_head)
    for target, spec in reversed(_targets(term)):
        matrix, shift = _affine(target, spec, "target")
        weight, bias = _undone(weight, bias, matrix, shift, repr(target))
    head = nn.Linear(weight.shape[1], len(bias), dtype=torch.float64)
    head.weight.copy_(weight)
    head.bias.copy_(bias)
    return head


def _check(student: nn.Module, term: Term, teacher_head: nn.Linear, head: str) -> nn.Linear:
    own = dict(student.named_modules()).get(head)
    if not isinstance(own, nn.Linear):
        raise PlanMismatch(
            f"The student's head '{head}' must be a linear layer to be replaced by one. Found {type(own).__name__}. "
            "Give head= the name of its last linear layer."
        )
    link = term.link
    if link.student.role != "head" or link.teacher.role != "head":
        raise PlanMismatch(
            "Folding needs a term between what the two heads read. Found a link from student "
            f"'{link.student.site}' ({link.student.role}) to teacher '{link.teacher.site}' ({link.teacher.role}). "
            "Train with mapping: {kind: HeadInput}."
        )
    found = link.student.channels, link.teacher.channels
    if found != (own.in_features, teacher_head.in_features):
        raise PlanMismatch(
            f"The heads must read what the term joins. Found heads of {own.in_features} and "
            f"{teacher_head.in_features} channels, and features of {found[0]} and {found[1]}. Give the heads of the "
            "models that the term was trained on."
        )
    return own


def _targets(term: Term) -> list[tuple[Target, FeatureSpec]]:
    """The targets, each with what it is given."""
    found, spec = list[tuple[Target, FeatureSpec]](), term.link.teacher
    for target in term.targets:
        if isinstance(target, Target):
            found.append((target, spec))
            spec = target.describe(spec)
    return found


def _affine(part: nn.Module, spec: FeatureSpec, name: str) -> tuple[Float[Tensor, "D C"], Float[Tensor, " D"]]:
    """What a projector or target does to what the head reads, as matrix and shift; refused if it is something else."""
    module = copy.deepcopy(part).double().cpu().eval()

    def pooled(x: Float[Tensor, "B N C"]) -> Float[Tensor, "B D"]:
        return module(Feature(x, spec.grid, spec.prefix, None, spec.summary)).pooled()

    shift = pooled(_everywhere(torch.zeros(1, spec.channels), spec)).squeeze(0)
    matrix = (pooled(_everywhere(torch.eye(spec.channels), spec)) - shift).T
    _require_affine(pooled, matrix, shift, spec, f"{name} {part!r}")
    return matrix, shift


def _require_affine(
    pooled: Callable[[Tensor], Tensor],
    matrix: Float[Tensor, "D C"],
    shift: Float[Tensor, " D"],
    spec: FeatureSpec,
    name: str,
) -> None:
    generator = torch.Generator().manual_seed(0)
    x = 10 * torch.randn(32, spec.positions, spec.channels, generator=generator, dtype=torch.float64)
    read = Feature(x, spec.grid, spec.prefix, None, spec.summary).pooled()
    found, expected = pooled(x), read @ matrix.T + shift
    error = (found - expected).abs().max() / expected.abs().max().clamp_min(_TOLERANCE)
    if not error < _TOLERANCE:
        raise PlanMismatch(
            f"Folding needs an affine projector and affine targets. Found {name}, which is not (relative error "
            f"{error.item():.1g}). Train with the projector Linear, and with no target or Standardise; or keep the "
            "projector (limbeck.distiller.Lifted)."
        )


def _undone(
    weight: Float[Tensor, "K C"],
    bias: Float[Tensor, " K"],
    matrix: Float[Tensor, "D C"],
    shift: Float[Tensor, " D"],
    target: str,
) -> tuple[Float[Tensor, "K D"], Float[Tensor, " K"]]:
    """The head, reading what the target gives."""
    square = matrix.shape[0] == matrix.shape[1]
    if not square or int(torch.linalg.matrix_rank(matrix)) < len(matrix):
        raise PlanMismatch(
            f"Folding must undo the targets. Found {target}, which keeps {int(torch.linalg.matrix_rank(matrix))} of "
            f"{matrix.shape[1]} dimensions. Train with no target or Standardise."
        )
    undone = torch.linalg.solve(matrix, weight, left=False)
    return undone, bias - undone @ shift


def _everywhere(x: Float[Tensor, "B C"], spec: FeatureSpec) -> Float[Tensor, "B N C"]:
    return x.double().unsqueeze(1).expand(-1, spec.positions, -1)


def _bias(layer: nn.Linear) -> Float[Tensor, " K"]:
    if layer.bias is None:
        return torch.zeros(layer.out_features, dtype=torch.float64)
    return layer.bias.double().cpu()
