"""Distillation by the Trainer of Lightning."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from limbeck.batch import Adapt, Batch, ReadOutput, call
from limbeck.distiller.distiller import Distiller, DistillOutput
from limbeck.errors import ModelError, RecipeError, RunError
from limbeck.integrations.preparation import Preparation, Recipes
from limbeck.planning import Plan
from limbeck.planning.stated import Layouts, Sites
from limbeck.recipe.settings import Settings
from limbeck.teachers.live import Teacher
from limbeck.training.optimizers import MakeOptimizer, make_optimizer
from limbeck.training.tracking import scalars

# Lightning comes under two names, whose classes do not mix.
if TYPE_CHECKING:
    from pytorch_lightning import LightningModule
else:
    try:
        from lightning.pytorch import LightningModule
    except ImportError:
        try:
            from pytorch_lightning import LightningModule
        except ImportError as error:
            raise ModelError(
                "DistillationModule needs Lightning. Found that it is not installed. Run: pip install "
                "'limbeck[lightning]'"
            ) from error

_PLAN = "limbeck_plan"


class DistillationModule(LightningModule):
    """A :class:`~lightning.pytorch.LightningModule` whose training loss is a distiller's; any Trainer fits it.

    It plans when it is made. What it trains, and what a checkpoint holds, are the student, the projectors, the
    statistics of the targets and the state of balancer and schedule, and the plan; the teacher is no part of it. A
    training that goes on from a checkpoint (``fit(ckpt_path=...)``) follows the plan in it.

    Validation and test log the metric that suits the labels, as ``val_accuracy`` and ``test_accuracy``, or the loss
    under unchanging weights, ``val_loss``; training logs the loss, every term and every weight. To change optimizer,
    scheduler, validation or logging, derive from it and override the method, as in any LightningModule; ``distil`` is
    the loss.

    Args:
        student: trained in place; ``module.student``.
        teacher: run in evaluation mode, never changed but for the device.
        data: loader of training batches; the first few are read for the plan.
        plan: a plan or the path of one.
        recipe: what a plan is made from; ``auto`` if there is neither plan nor recipe.
        lr: highest rate of AdamW.
        optimizer: function from parameter groups to an optimizer, instead of AdamW; its own rates are used.
        metric: name of a metric, a function of logits and labels, or ``auto`` for what suits the labels.
        adapt: reads a batch: ``adapt(raw) -> limbeck.Batch(inputs, targets)``.
        output: takes the logits from what a model returns.
        layouts: axes of sites whose layout cannot be told; see :func:`limbeck.plan`.
        sites: the sites that a new plan considers; see :func:`limbeck.plan`.
        seed: of everything random before the first step.

    Raises:
        LimbeckError: if a model does not run on the data, or plan or recipe do not fit.

    Example:
        >>> import warnings
        >>> from torch.utils.data import DataLoader, TensorDataset
        >>> try:
        ...     from lightning.pytorch import Trainer
        ... except ImportError:
        ...     from pytorch_lightning import Trainer
        >>> data = DataLoader(TensorDataset(torch.randn(32, 4), torch.randint(0, 2, (32,))), batch_size=8)
        >>> big, small = (nn.Sequential(nn.Linear(4, n), nn.ReLU(), nn.Linear(n, 2)) for n in (32, 8))
        >>> module = DistillationModule(small, big, data, lr=0.01)
        >>> quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        >>> trainer = Trainer(max_epochs=1, accelerator="cpu", enable_model_summary=False, **quiet)
        >>> with warnings.catch_warnings(action="ignore"):
        ...     trainer.fit(module, data)
        >>> trainer.global_step, module.distiller.progress
        (4, 1.0)
        >>> module.close()
    """

    def __init__(  # noqa: PLR0913 - what limbeck does of itself can be stated
        self,
        student: nn.Module,
        teacher: nn.Module,
        data: Iterable[Any],
        *,
        plan: Plan | str | Path | None = None,
        recipe: Recipes | None = None,
        lr: float = 1e-3,
        optimizer: MakeOptimizer | None = None,
        metric: Any = "auto",
        adapt: Adapt | None = None,
        output: ReadOutput | None = None,
        layouts: Layouts | None = None,
        sites: Sites | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        stated: dict[str, Any] = {"adapt": adapt, "output": output, "layouts": layouts, "sites": sites, "seed": seed}
        self._looked = Preparation.look(student, teacher, data, plan=plan, recipe=recipe, **stated)
        self.metric_name, self._metric = self._looked.pair.facts.task.metric(metric)
        self._lr, self._make_optimizer = lr, optimizer
        self.distiller, self._source = self._begun()

    @property
    def plan(self) -> Plan:
        """What is done."""
        return self._looked.plan

    @property
    def student(self) -> nn.Module:
        """The network that is trained, and all that is needed afterwards."""
        return self.distiller.student

    def forward(self, inputs: Any) -> Any:
        """What the student returns for the inputs of a batch."""
        return call(self.student, inputs)

    def distil(self, batch: Any) -> Float[Tensor, ""]:
        """The loss on what the loader yields, with every term and weight logged."""
        read = self._looked.pair.adapt(batch)
        out = self._compared(read)
        values = torch.cat([out.loss.detach().reshape(1), out.terms, out.weights])
        self.log_dict(dict(zip(self._logged, values.unbind(), strict=True)), batch_size=read.size)
        return out.loss

    def training_step(self, batch: Any, batch_idx: int) -> Any:  # noqa: ARG002 - Lightning gives the number
        """The distiller's loss."""
        return self.distil(batch)

    def validation_step(self, batch: Any, batch_idx: int) -> Any:  # noqa: ARG002
        """Log the metric of the student on validation data."""
        self._measure(batch, "val")

    def test_step(self, batch: Any, batch_idx: int) -> Any:  # noqa: ARG002
        """Log the metric of the student on test data."""
        self._measure(batch, "test")

    def predict_step(self, batch: Any, batch_idx: int) -> Any:  # noqa: ARG002
        """The student's answer to what the loader yields."""
        return self(self._looked.pair.adapt(batch).inputs)

    def configure_optimizers(self) -> Any:
        """AdamW or the optimizer given, over the student and the projectors; only matrices of the student decay."""
        settings = Settings()
        lr = self._lr if self._make_optimizer is None else None
        return make_optimizer(self.distiller, settings, lr, self._make_optimizer)

    def on_fit_start(self) -> None:
        """Place the teacher and learn how long the training is."""
        self._refuse_waiting()
        self._looked.pair.teacher.to(self.device)
        steps = self.trainer.estimated_stepping_batches
        if self.distiller.schedule is not None and steps in {-1, float("inf")}:
            raise RunError(
                f"{self.distiller.schedule} needs the length of the training. Found a Trainer without one. Give it "
                "max_steps= or max_epochs=."
            )
        self.distiller.total_steps = int(steps) if 0 < steps < float("inf") else None

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Move balancer and schedule on with the optimizer, and so before anybody saves a checkpoint of this step."""
        super().optimizer_step(*args, **kwargs)
        self.distiller.step()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put the plan into the checkpoint."""
        checkpoint[_PLAN] = self.plan.model_dump(mode="json")

    def on_load_checkpoint(self, checkpoint: Mapping[str, Any]) -> None:
        """Build what the plan of the checkpoint says, which the weights in it belong to.

        Raises:
            RunError: if the checkpoint is none of a distillation, or another plan or recipe was given.
        """
        if _PLAN not in checkpoint:
            raise RunError(
                "A distillation goes on from a checkpoint of one. Found one without a plan. Use one that a "
                "DistillationModule was saved in, or begin anew."
            )
        looked = self._looked.as_begun(Plan.model_validate(checkpoint[_PLAN]), "the checkpoint")
        self.close()
        self._looked = looked
        self.distiller, self._source = self._begun()

    def close(self) -> None:
        """Take the hooks off both models; the student is ready for use, and nothing more can be fitted."""
        self._source.close()
        self.distiller.close()

    def _refuse_waiting(self) -> None:
        """Refuse a DDP that would wait for gradients that a step leaves out."""
        ddp = getattr(self.trainer.strategy, "_ddp_kwargs", None)
        if ddp is not None and self.distiller.leaves_parameters_out and not ddp.get("find_unused_parameters"):
            raise RecipeError(
                "Where steps leave links out, DDP must look which gradients there are. Found one that waits for all of "
                "them. Give Trainer(strategy='ddp_find_unused_parameters_true')."
            )

    def _begun(self) -> tuple[Distiller, Teacher]:
        return self._looked.begin(total_steps=1)

    @property
    def _logged(self) -> list[str]:
        names = dict.fromkeys(self.distiller.names, 0.0)
        return list(scalars({"loss": 0.0, "terms": names, "weights": names}))

    def _measure(self, batch: Any, when: str) -> None:
        read = self._looked.pair.adapt(batch)
        if self._metric is None:
            self.log(f"{when}_loss", self._judged(read), prog_bar=True, batch_size=read.size)
            return
        scores = self._metric(self._looked.pair.read_output(self(read.inputs)), self.distiller.labels(read))
        self.log(f"{when}_{self.metric_name}", scores.float().mean(), prog_bar=True, batch_size=scores.numel())

    def _compared(self, batch: Batch) -> DistillOutput:
        return self.distiller(batch, self._source(batch) if self.distiller.needs_teacher else None)

    def _judged(self, batch: Batch) -> Float[Tensor, ""]:
        """The loss under weights that do not change while it is trained."""
        weights = self.distiller.judging_weights.to(self.device)
        out = self._compared(batch)
        return torch.where(weights > 0, out.terms * weights, 0.0).sum()
