"""What a loop of somebody else's needs before its first step: the plan, and the distiller built from it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from limbeck.batch import Adapt, ReadOutput, device_of, move
from limbeck.distiller.distiller import Distiller
from limbeck.planning import Pair, Plan, build, check_plan, fit_targets
from limbeck.planning.require_models import require_models
from limbeck.planning.starting import start_student
from limbeck.planning.stated import Layouts, Sites, refuse_both
from limbeck.randomness import seed_all
from limbeck.recipe.recipe import Recipe
from limbeck.resuming import as_begun
from limbeck.teachers.live import Teacher
from limbeck.training.surroundings import undisturbed

Recipes = str | Path | dict[str, Any] | Recipe


@dataclass(frozen=True)
class Preparation:
    """Two models that were looked at, and the plan that was made or checked for them.

    Attributes:
        pair: models, the first batches of the data, and what was learnt of them.
        plan: fits the pair.
        seed: of everything random before the first step.
        given: the plan and the recipe that the user gave, ``None`` for what was not given.
    """

    pair: Pair
    plan: Plan
    seed: int
    given: tuple[Plan | None, Recipe | None] = (None, None)

    @classmethod
    def look(
        cls,
        student: nn.Module,
        teacher: nn.Module,
        data: Iterable[Any],
        *,
        plan: Plan | str | Path | None = None,
        recipe: Recipes | None = None,
        adapt: Adapt | None = None,
        output: ReadOutput | None = None,
        layouts: Layouts | None = None,
        sites: Sites | None = None,
        seed: int = 0,
    ) -> Preparation:
        """Look at both models and the data, and plan, or check a plan.

        Both models are left as they were, but for the layers of the teacher that a recipe or plan starts the student
        with.

        Args:
            student: will be trained.
            teacher: will be run.
            data: loader of training batches; the first few are read.
            plan: a plan or the path of one.
            recipe: what a plan is made from, ``auto`` if there is neither plan nor recipe.
            adapt: reads a batch.
            output: takes the logits from what a model returns.
            layouts: axes of sites whose layout cannot be told.
            sites: the sites to consider.
            seed: of everything random.

        Raises:
            LimbeckError: if a model does not run on the data, or plan or recipe do not fit.
        """
        require_models(teacher, student)
        known = Plan.load(plan) if isinstance(plan, str | Path) else plan
        wanted = None if recipe is None else Recipe.load(recipe)
        refuse_both(wanted, known)
        stated: dict[str, Any] = {"adapt": adapt, "output": output, "layouts": layouts, "sites": sites, "seed": seed}
        with undisturbed(teacher, student):
            seed_all(seed)
            recipe = wanted or Recipe.load("auto")
            said = start_student(student, teacher, (recipe if known is None else known).start)
            pair = Pair.look(teacher, student, data, hold=False, show=False, **stated)
            if known is None:
                return cls(pair, pair.plan(recipe, show=False).with_choices(*said), seed, (known, wanted))
            reading: dict[str, Any] = {"layouts": layouts, "read_output": pair.read_output}
            checked = check_plan(known, student, teacher, pair.batches[0], **reading)
            return cls(pair, checked.with_choices(*said), seed, (known, wanted))

    def as_begun(self, saved: Plan, where: str) -> Preparation:
        """The same with the plan that a training was begun with.

        Args:
            saved: the plan.
            where: the training was saved, for the error.

        Raises:
            RunError: if the user gave another plan or recipe; names each difference.
        """
        plan, recipe = self.given
        return replace(self, plan=as_begun(saved, where, plan=plan, recipe=recipe, settings={}))

    def begin(self, total_steps: int) -> tuple[Distiller, Teacher]:
        """The distiller with its targets fitted, and its teacher on the student's device; both are to be closed.

        Args:
            total_steps: optimizer steps of the whole training.

        Raises:
            LimbeckError: if the plan does not run on the first batches.
        """
        student, teacher = self.pair.student, self.pair.teacher
        device = device_of(student)
        teacher.to(device)
        pair = replace(self.pair, batches=tuple(move(each, device) for each in self.pair.batches))
        with undisturbed(student):
            seed_all(self.seed)
            reading: dict[str, Any] = {"read_output": pair.read_output, "heads": pair.heads}
            distiller = build(self.plan, student, total_steps=total_steps, **reading)
            source = Teacher(teacher, distiller.teacher_sites, answers=distiller.needs_answers)
            try:
                fit_targets(distiller, source, pair.batches)
                pair.dry_run(distiller, source)
            except BaseException:
                source.close()
                distiller.close()
                raise
        return distiller, source
