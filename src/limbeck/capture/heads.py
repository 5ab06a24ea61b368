"""Finding the module that turns what a network knows into its answer."""

from __future__ import annotations

import itertools
from typing import NamedTuple

from torch import Tensor, nn

from limbeck.batch import tensors
from limbeck.capture.cut_points import Dataflow
from limbeck.capture.trace import Call, Key, Trace

# An answer that comes straight from a non-linearity or a normalisation is no logits but a representation, and a product
# outside of any module cannot be named. Names are those of operations in the autograd graph.
_ENDS_SEARCH = (
    *("Relu", "Gelu", "Silu", "Mish", "Hardswish", "LeakyRelu", "Elu", "Celu", "Selu", "Softplus", "Hardtanh", "Prelu"),
    *("NativeLayerNorm", "NativeBatchNorm", "NativeGroupNorm", "FusedRmsNorm", "Rsqrt", "Var"),
    *("Mm", "Addmm", "Bmm", "Convolution", "ScaledDotProduct"),
)


class Head(NamedTuple):
    """The last layer with weights, and what is worth knowing of how it was found.

    Attributes:
        call: its run in the forward; ``None`` if the network ends without one.
        note: an ambiguity in words, or empty.
        beside: further heads whose answers are joined with its own.
    """

    call: Call | None
    note: str = ""
    beside: tuple[Call, ...] = ()

    @property
    def calls(self) -> tuple[Call, ...]:
        """All heads."""
        return () if self.call is None else (self.call, *self.beside)


def find_head(trace: Trace, flow: Dataflow) -> Head:
    """Walk back from the logits through reshaping, pooling, averaging and squashing to the layers that made them.

    One layer is the head. Several parallel ones of the logits' width that stand side by side (a class token's and a
    distillation token's) are ensembles: the first is taken, with a note.
    """
    made = {each.outputs[0].key: each for each in trace.calls if is_weighted_layer(each) and each.outputs}
    made.pop(None, None)
    layers = _layers_behind(flow, made)
    if not layers:
        return Head(None)
    if len({each.name for each in layers}) == 1:
        return Head(layers[-1])
    keys = [key for each in layers if (key := each.outputs[0].key) is not None]
    alike = len({each.outputs[0].shape[-1] for each in layers}) == 1
    # On a residual stream each layer feeds the next one; heads stand side by side.
    if alike and not any(flow.depends(a, b) for a, b in itertools.permutations(keys, 2)):
        names = ", ".join(f"'{each.name}'" for each in layers)
        note = f"{len(layers)} heads answer together ({names}); the input of the first is taken."
        return Head(layers[0], note, tuple(layers[1:]))
    return Head(None)


def guess_head(trace: Trace, logits: Tensor) -> Head:
    """Without a dataflow: the last layer with weights, if what it returns has the shape of the logits."""
    last = next((each for each in reversed(trace.calls) if is_weighted_layer(each) and each.outputs), None)
    if last is None or last.outputs[0].shape != tuple(logits.shape):
        return Head(None)
    return Head(last, f"'{last.name}' is taken for the head: it is the last layer with weights.")


def is_weighted_layer(call: Call) -> bool:
    """Whether a call computes with a weight matrix or kernel of its own, below which nothing else does."""
    return has_matrix(call.module) and not any(has_matrix(each.module) for each in call.children)


def has_matrix(module: nn.Module) -> bool:
    """Whether a module or something in it has weights of two or more axes that are not a lookup table."""
    return any(_own_matrix(each) for each in module.modules() if not isinstance(each, nn.Embedding | nn.EmbeddingBag))


def _own_matrix(module: nn.Module) -> bool:
    own = list(module.parameters(recurse=False))
    # Quantised layers keep their weights in packed objects, of which only the state dict knows.
    return any(each.ndim >= 2 for each in own or (tensors(module.state_dict()) if not len(module._buffers) else []))


def _layers_behind(flow: Dataflow, made: dict[Key | None, Call]) -> list[Call]:
    """The nearest weighted layers before the output on all ways; empty if one of the ways ends elsewhere."""
    found: dict[int, Call] = {}
    waiting: list[Key] = list(flow.roots)
    reached: set[Key] = set()
    while waiting:
        key = waiting.pop()
        if key in reached:
            continue
        reached.add(key)
        layer = made.get(key)
        if layer is not None:
            found[layer.left] = layer
            continue
        edges = flow.edges(key[0])
        if not edges or type(key[0]).__name__.startswith(_ENDS_SEARCH):
            return []
        waiting.extend(edges)
    return [found[left] for left in sorted(found)]
