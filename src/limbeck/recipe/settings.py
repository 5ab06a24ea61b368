"""How a student is trained: everything that is not a loss."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from limbeck.errors import RecipeError

# Each says how long a training is, so the one said last takes the place of the other.
LENGTHS = {"steps": "epochs", "epochs": "steps"}

MemoryFormat = Literal["auto", "as given", "channels last"]


class Settings(BaseModel):
    """The training part of a recipe and of a plan.

    Attributes:
        lr: learning rate, or ``auto`` for one that suits the student.
        optimizer: name of a class in ``torch.optim``.
        weight_decay: for the student's matrices; biases, norms and projectors have none. 0.01 is AdamW's default.
        steps: optimizer steps; overrides ``epochs``.
        epochs: passes over the training data. With neither given, training goes on until validation stops improving,
            at most as long as the plan states.
        warmup: share of the steps in which the rate rises from zero (our choice).
        decay: what the rate does after that.
        accumulate: batches per optimizer step.
        clip: longest gradient, as a norm over all parameters; ``None`` for no limit. 1.0 is lightly-train's.
        ema: decay of the running average of the student's weights, which is then what is validated and returned.
        precision: ``no``, ``bf16`` or ``fp16``; chosen by the device if ``None``.
        memory_format: how 2-D convolutions lie in memory while they train: ``as given``, ``channels last``, or ``auto``
            for what a few timed steps find faster. Not the default, as the two round differently and a clock decides.
        patience: evaluations without improvement after which training stops; ``None`` for never.
        evaluations: how often validation is measured in a whole training.
        seed: of everything random.

    Example:
        >>> Settings(lr=0.01, steps=100).steps
        100
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    lr: Annotated[float, Field(ge=0, allow_inf_nan=False)] | Literal["auto"] = "auto"
    optimizer: str = "AdamW"
    weight_decay: float = Field(default=0.01, ge=0)
    steps: int | None = Field(default=None, gt=0)
    epochs: int | None = Field(default=None, gt=0)
    warmup: float = Field(default=0.05, ge=0, lt=1)
    decay: Literal["cosine", "constant"] = "cosine"
    accumulate: int = Field(default=1, ge=1)
    clip: float | None = Field(default=1.0, gt=0)
    ema: float | None = Field(default=None, gt=0, lt=1)
    precision: Literal["no", "bf16", "fp16"] | None = None
    memory_format: MemoryFormat = "as given"
    patience: int | None = Field(default=None, gt=0)
    evaluations: int = Field(default=40, gt=0)
    seed: int = Field(default=0, ge=0)

    def given(self, **settings: Any) -> Settings:
        """These settings with others in their place; steps take the place of epochs, and epochs of steps.

        Raises:
            RecipeError: if both steps and epochs are given.
            pydantic.ValidationError: if a value is refused.

        Example:
            >>> found = Settings(steps=100, lr=0.1).given(epochs=3)
            >>> found.steps, found.epochs, found.lr
            (None, 3, 0.1)
        """
        lengths = [key for key in LENGTHS if settings.get(key) is not None]
        if len(lengths) > 1:
            raise RecipeError(
                f"Training is as long as steps or as epochs say. Found both: steps={settings['steps']}, "
                f"epochs={settings['epochs']}. Give one of them."
            )
        forgotten = {LENGTHS[key]: None for key in lengths}
        return Settings.model_validate({**self.model_dump(), **settings, **forgotten})
