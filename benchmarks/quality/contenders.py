"""The contenders: each a recipe of limbeck with what is searched for it, and what its authors or we start from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from limbeck.recipe.recipe import Recipe

Parameters = Mapping[str, Any]
Group = Literal["plain", "logits", "published", "tuned", "limbeck"]


@dataclass(frozen=True)
class Range:
    """What is searched of one number, on a logarithmic scale.

    Attributes:
        low: where the search begins; extended if the best lies there.
        high: likewise.
        start: the first trial: the published value, or our guess.
        least: beyond this it makes no sense.
        most: likewise.
    """

    low: float
    high: float
    start: float
    least: float = 0.0
    most: float = float("inf")


DEFAULT = "limbeck default"
TUNED = f"{DEFAULT}, tuned"
AUTOMATIC = "limbeck"
# The default at several lengths, in plain runs; nothing of it is searched.
DEFAULTS = {DEFAULT if length == 1 else f"{DEFAULT}, {length:g}x": length for length in (0.25, 0.5, 1.0, 3.0, 10.0)}
RATE = Range(1e-3, 3e-2, 5e-3, least=1e-5, most=1.0)
_TEMPERATURE = Range(1.0, 8.0, 4.0, least=0.5, most=32.0)
_ALPHA = Range(0.1, 1.0, 0.5, least=0.02, most=1.0)


@dataclass(frozen=True)
class Contender:
    """One way to train the student.

    Attributes:
        name: in tables.
        group: what it stands for.
        recipe: from what was found by the search.
        space: what is searched.
        fixed: what is not.
        mixed: whether batches are mixed; ``None`` if the search says so.
        length: of a run, in plain runs.
        scale: of the student's width.
        ruled: whether limbeck's own rule says the rate, and nothing is searched: ``search=False``.
        automatic: whether it is ``limbeck.distill`` without any options: rates, race and choice by its own.
        least_classes: with fewer it has no meaning.
        needs_positions: whether it compares the positions of a map, or of a text, with each other.
    """

    name: str
    group: Group
    recipe: Callable[[Parameters], dict[str, Any]]
    space: Mapping[str, Range | tuple[Any, ...]] = field(default_factory=lambda: {"rate": RATE})
    fixed: Parameters = field(default_factory=dict)
    mixed: bool | None = False
    length: float = 1.0
    scale: float = 1.0
    ruled: bool = False
    automatic: bool = False
    least_classes: int = 2
    needs_positions: bool = False

    def resolved(self, found: Parameters, *, samples: int, labelled: bool) -> Recipe:
        """The recipe for a pair: without labels, what needs none of the outputs is left."""
        content = self.recipe({**self.fixed, **found, "samples": samples})
        if not labelled:
            outputs = content.get("outputs", "auto")
            kept = [each for each in outputs if each["loss"]["kind"] in _LABEL_FREE] if outputs != "auto" else outputs
            content = {**content, "outputs": kept}
        return Recipe.load({"name": self.name, **content})


_LABEL_FREE = {"SoftLabels", "StandardisedLogits", "DIST"}
_CE = {"loss": {"kind": "CrossEntropy"}}


def _outputs(*terms: tuple[dict[str, Any], float]) -> list[dict[str, Any]]:
    return [{"loss": loss, "share": share} for loss, share in terms if share > 0]


def _soft(p: Parameters) -> list[dict[str, Any]]:
    labels, soft = {"kind": "CrossEntropy"}, {"kind": "SoftLabels", "temperature": p["temperature"]}
    return _outputs((labels, 1 - p["alpha"]), (soft, p["alpha"]))


def _outputs_only(outputs: Callable[[Parameters], list[dict[str, Any]]]) -> Callable[[Parameters], dict[str, Any]]:
    return lambda p: {"features": [], "outputs": outputs(p), "balancer": {"kind": "Fixed", "feature": 0, "output": 1}}


def _lskd(p: Parameters) -> list[dict[str, Any]]:
    loss = {"kind": "StandardisedLogits", "temperature": p["temperature"]}
    return _outputs(({"kind": "CrossEntropy"}, 0.1), (loss, p["weight"]))


def _dist(p: Parameters) -> list[dict[str, Any]]:
    loss = {"kind": "DIST", "temperature": p["temperature"], "beta": p["weight"], "gamma": p["weight"]}
    return _outputs(({"kind": "CrossEntropy"}, 1.0), (loss, 1.0))


def _dkd(p: Parameters) -> list[dict[str, Any]]:
    loss = {"kind": "DKD", "temperature": p["temperature"], "beta": p["weight"]}
    return _outputs(({"kind": "CrossEntropy"}, 1.0), (loss, 1.0))


@dataclass(frozen=True)
class Method:
    """A published feature loss on the layers that its authors link.

    Attributes:
        weight: that its official code gives it beside cross-entropy.
        losses: what is compared on every link.
        mapping: which layers.
        association: how links are joined.
        schedule: how the weight moves.
    """

    weight: float
    losses: tuple[dict[str, Any], ...]
    mapping: dict[str, Any]
    association: dict[str, Any] | None = None
    schedule: dict[str, Any] = field(default_factory=lambda: {"kind": "Constant"})

    def content(self, p: Parameters, outputs: list[dict[str, Any]]) -> dict[str, Any]:
        """The recipe."""
        features = [{"loss": self._sized(each["loss"], p), **{k: v for k, v in each.items() if k != "loss"}}
                    for each in self.losses]  # fmt: skip
        found = {
            "mapping": self.mapping, "features": features, "outputs": outputs, "schedule": self.schedule,
            "balancer": {"kind": "Fixed", "feature": p["weight"], "output": 1},
        }  # fmt: skip
        return found if self.association is None else {**found, "association": self.association}

    @staticmethod
    def _sized(loss: dict[str, Any], p: Parameters) -> dict[str, Any]:
        if loss["kind"] != "CRD":
            return loss
        # The official 16,384 of the 50,000 images of CIFAR are a third of the data.
        return {**loss, "samples": p["samples"], "negatives": p["samples"] // 3}


_STAGES = {"kind": "LastStages", "count": 3}
_HEAD = {"kind": "HeadInput"}
# Weights of the official comparison (RepDistiller) or of the methods' own code. ReviewKD and SemCKD were weighed on
# features that are not standardised; SRRL stands for SimKD, whose teacher's head a deployed student would have to keep.
METHODS = {
    "AT": Method(1000.0, ({"loss": {"kind": "AttentionTransfer"}},), _STAGES),
    "SP": Method(3000.0, ({"loss": {"kind": "SimilarityPreserving"}},), {"kind": "LastStages", "count": 1}),
    "RKD": Method(
        1.0, ({"loss": {"kind": "RKDDistance"}, "share": 25.0}, {"loss": {"kind": "RKDAngle"}, "share": 50.0}), _HEAD
    ),
    "VID": Method(1.0, ({"loss": {"kind": "VID"}},), _STAGES),
    "CRD": Method(0.8, ({"loss": {"kind": "CRD"}},), _HEAD),
    "ReviewKD": Method(
        5.0, ({"loss": {"kind": "HCL"}},), _STAGES, {"kind": "ReviewFusion"}, {"kind": "WarmUp", "share": 0.08}
    ),
    "SemCKD": Method(400.0, ({"loss": {"kind": "MSE"}},), {"kind": "AllPairs"}, {"kind": "SemCKD"}),
    "SimKD form": Method(1.0, ({"loss": {"kind": "SRRL"}},), _HEAD),
}
# A student without positions can still predict those of a map, but not of a text of any length.
_NEED_POSITIONS = {"AT", "ReviewKD"}


def _article(p: Parameters) -> dict[str, Any]:
    base = Recipe.load("article").model_dump(mode="json", exclude={"name", "reasons", "summary"}, exclude_none=True)
    feature = p.get("weight", 4.0) / (1 + p.get("weight", 4.0))
    return {**base, "outputs": [_CE], "balancer": {"kind": "Fixed", "feature": feature, "output": 1 - feature}}


def _auto(_: Parameters) -> dict[str, Any]:
    return Recipe.load("auto").model_dump(mode="json", exclude={"name", "reasons", "summary"}, exclude_none=True)


def _around(weight: float) -> Range:
    return Range(weight / 10, weight * 10, weight, least=weight / 1e4, most=weight * 1e4)


def _method_contenders() -> list[Contender]:
    found: list[Contender] = []
    soft = {"temperature": _TEMPERATURE, "alpha": _ALPHA}
    for name, method in METHODS.items():
        alone = lambda p, method=method: method.content(p, [_CE])  # noqa: E731
        both = lambda p, method=method: method.content(p, _soft(p))  # noqa: E731
        fixed = {"weight": method.weight}
        weight = {"weight": _around(method.weight)}
        half = {**fixed, "temperature": 4.0, "alpha": 0.5}
        made = [
            Contender(f"{name}, published", "published", alone, fixed=fixed),
            Contender(f"{name}, tuned", "tuned", alone, {"rate": RATE, **weight}),
            Contender(f"{name} and soft labels, published", "published", both, fixed=half),
            Contender(f"{name} and soft labels, tuned", "tuned", both, {"rate": RATE, **weight, **soft}),
        ]
        found += [replace(each, needs_positions=name in _NEED_POSITIONS) for each in made]
    return found


def contenders() -> tuple[Contender, ...]:
    """All contenders."""
    soft = {"rate": RATE, "temperature": _TEMPERATURE, "alpha": _ALPHA}
    strongest = {**soft, "mixed": (False, True), "part": (0.5, 1.0)}
    return (
        Contender("alone", "plain", _outputs_only(lambda _: [_CE])),
        Contender("soft labels", "plain", _outputs_only(_soft), soft),
        Contender("soft labels and mixup", "plain", _outputs_only(_soft), soft, mixed=True),
        *(
            Contender(f"strongest plain, {length}x", "plain", _outputs_only(_soft), strongest, mixed=None,
                      length=length)
            for length in (1, 3, 10)
        ),
        Contender("LSKD", "logits", _outputs_only(_lskd),
                  {"rate": RATE, "temperature": Range(1, 8, 2, 0.5, 32), "weight": _around(9.0)}, least_classes=5),
        Contender("DIST", "logits", _outputs_only(_dist),
                  {"rate": RATE, "temperature": Range(1, 8, 1, 0.5, 32), "weight": _around(2.0)}),
        Contender("DKD", "logits", _outputs_only(_dkd),
                  {"rate": RATE, "temperature": _TEMPERATURE, "weight": Range(0.25, 8, 8, 0.01, 100)}),
        Contender("FitNets 0.8/0.2", "published", _article),
        Contender("FitNets, tuned", "tuned", _article, {"rate": RATE, "weight": _around(4.0)}),
        *_method_contenders(),
        *(Contender(name, "limbeck", _auto, {}, length=length, ruled=True) for name, length in DEFAULTS.items()),
        *(Contender(f"{DEFAULT}, width {scale:g}", "limbeck", _auto, {}, scale=scale, ruled=True)
          for scale in (0.5, 0.7)),
        Contender(TUNED, "limbeck", _auto),
        Contender(AUTOMATIC, "limbeck", _auto, {}, automatic=True),
    )  # fmt: skip
