"""A copy of the student that takes named tensors and answers with one tensor."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from limbeck.batch import ReadOutput, accepted, move, read_logits, tensors, unwrap
from limbeck.errors import ModelError


class Answering(nn.Module):
    """What is exported: a copy of the student on the CPU, in evaluation, whose answer is one tensor.

    File formats know no model outputs of Hugging Face and no nested arguments. The answer is the logits, or an
    encoder's last hidden state, or what ``output`` reads.

    Args:
        student: copied, never changed.
        example_inputs: a tensor, a tuple of arguments or a dict of keyword arguments; entries that are no tensors
            become constants of the export.
        output: how the answer is read from what the student returns; by default as described.

    Raises:
        ModelError: if the student cannot be copied or run, or takes tensors inside of lists or dicts.

    Example:
        >>> answering = Answering(nn.Linear(2, 3), torch.zeros(4, 2))
        >>> sorted(answering.inputs), answering.arguments(answering.inputs)[0][0].shape
        (['input'], torch.Size([4, 2]))
    """

    def __init__(self, student: nn.Module, example_inputs: Any, output: ReadOutput | None = None) -> None:
        super().__init__()
        student = unwrap(student)
        self.name = type(student).__name__
        try:
            self.student = copy.deepcopy(student).cpu().eval().requires_grad_(False)
        except Exception as error:
            raise ModelError(
                f"An export works on a copy of the student. {self.name} cannot be copied ({error}). Remove from it "
                "what copy.deepcopy refuses: hooks that are closures, open files, tensors computed from other layers."
            ) from error
        self.output = output
        self.by_keyword = isinstance(example_inputs, Mapping)
        named = named_inputs(self.student, example_inputs)
        self.inputs: dict[str, Tensor] = {name: move(each, "cpu") for name, each in named.items() if _is_tensor(each)}
        self.constants = {name: each for name, each in named.items() if not _is_tensor(each)}
        self.order = list(named)
        self.declared = set(inspect.signature(self.student.forward).parameters)
        nested = [name for name, each in self.constants.items() if tensors(each)]
        if nested or not self.inputs:
            raise ModelError(
                f"An export needs inputs that are tensors, by themselves. Found {type(named[nested[0]]).__name__} with "
                f"tensors in it as '{nested[0]}'. Wrap the student in a module that takes them one by one."
                if nested
                else f"An export needs at least one tensor among the inputs. Found {sorted(self.constants)}."
            )
        # torch.export names the inputs of what it writes after the parameters of forward.
        self.forward = self._forward_with(list(self.inputs))

    def forget(self, unread: Iterable[str]) -> bool:
        """Drop inputs of those names that only a ``**kwargs`` takes; return whether there were any.

        A batch often holds more than the student reads, such as row numbers.
        """
        dropped = [name for name in unread if name in self.inputs and name not in self.declared and self.by_keyword]
        for name in dropped:
            del self.inputs[name]
            self.order.remove(name)
        if dropped:
            self.forward = self._forward_with(list(self.inputs))
        return bool(dropped)

    def arguments(self, inputs: Mapping[str, Tensor]) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
        """The positional and keyword arguments with which this module, and a program made of it, is called."""
        return ((), dict(inputs)) if self.by_keyword else (tuple(inputs.values()), {})

    @torch.no_grad()
    def answer(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """What the student answers to ``inputs``.

        Raises:
            ModelError: if it does not run on them, or answers no tensor.
        """
        args, kwargs = self.arguments(inputs)
        try:
            return self(*args, **kwargs)
        except ModelError:
            raise
        except Exception as error:
            shapes = {name: list(tensor.shape) for name, tensor in inputs.items()}
            raise ModelError(
                f"The student must run on the example inputs. {self.name} failed on {shapes} ({error}). Give inputs as "
                "its forward takes them: a tensor, a tuple of arguments, or a dict."
            ) from error

    def _forward_with(self, names: list[str]) -> Callable[..., Tensor]:
        def forward(*args: Tensor, **kwargs: Tensor) -> Tensor:
            given = {**self.constants, **dict(zip(names, args, strict=False)), **kwargs}
            values = [given[name] for name in self.order]
            raw = (
                self.student(**dict(zip(self.order, values, strict=True))) if self.by_keyword else self.student(*values)
            )
            return self._read(raw)

        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        signature = inspect.Signature([inspect.Parameter(name, kind) for name in names])
        vars(forward)["__signature__"] = signature
        return forward

    def _read(self, raw: Any) -> Tensor:
        if self.output is not None:
            found = self.output(raw)
        else:
            found = read_logits(raw)
            if found is None:
                found = getattr(raw, "last_hidden_state", None)
            if found is None:
                found = next(iter(tensors(raw)), None)
        if not isinstance(found, Tensor):
            raise ModelError(
                f"An export needs one tensor as the answer. {self.name} returned {type(raw).__name__}. Say where it "
                "is: output=lambda raw: raw.logits."
            )
        return found


def named_inputs(student: nn.Module, inputs: Any) -> dict[str, Any]:
    """The inputs under the names that the student's ``forward`` has for them, in their order.

    Example:
        >>> named_inputs(nn.Linear(2, 3), torch.zeros(4, 2)).keys()
        dict_keys(['input'])
    """
    if isinstance(inputs, Mapping):
        return accepted(student, inputs)
    values = inputs if isinstance(inputs, tuple) else (inputs,)
    positional = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
    parameters = inspect.signature(student.forward).parameters.values()
    names = [each.name for each in parameters if each.kind in positional]
    names += [f"input_{place}" for place in range(len(names), len(values))]
    return dict(zip(names, values, strict=False))


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Tensor)
