"""What an export wrote, and how true it is to the trained student."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from limbeck.export.check import EXACT


@dataclass(frozen=True, slots=True)
class Exported:
    """One exported file, checked.

    Attributes:
        path: the file, or the folder of ``huggingface``.
        format: ``onnx``, ``onnx-int8``, ``torch``, ``safetensors`` or ``huggingface``.
        bytes: its size, with that of a data file beside it; of a folder, of all that was written into it.
        max_difference: the largest difference between its answers and the trained student's, as a share of the largest
            answer; measured on the example inputs and on batches of other sizes than the one exported with.
        axes: which sizes of the inputs may change: ``batch``, ``length``.
        mean_difference: the mean difference on the example inputs, as a share of their largest answer.
        agreement: share of the answers to the example inputs whose largest entry is the same one: where answers are
            logits, the share of equal predictions.

    Example:
        >>> print(Exported(Path("a.onnx"), "onnx", 12_345, 2.4e-7, ("batch",)))
        a.onnx: onnx, 12,345 bytes, free axes: batch, largest difference to the trained student 2.4e-07 of its answers
    """

    path: Path
    format: str
    bytes: int
    max_difference: float
    axes: tuple[str, ...] = ()
    mean_difference: float = 0.0
    agreement: float = 1.0

    def __str__(self) -> str:
        """One line for the terminal."""
        axes = f", free axes: {', '.join(self.axes)}" if self.axes else ""
        inexact = self.max_difference > EXACT
        closer = f", mean {self.mean_difference:.2g}, same largest entry in {self.agreement:.1%}" if inexact else ""
        return (
            f"{self.path}: {self.format}, {self.bytes:,} bytes{axes}, largest difference to the trained student "
            f"{self.max_difference:.2g} of its answers{closer}"
        )
