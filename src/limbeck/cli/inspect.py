"""``limbeck inspect``: a network in stages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column, Table

from limbeck.cli.loading import loading
from limbeck.cli.tables import table_console
from limbeck.cli.words import DataOptions, ModelOptions

if TYPE_CHECKING:
    from torch import nn

    from limbeck.batch import Batch
    from limbeck.capture.anatomy import Anatomy


def inspect(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="timm:NAME, torchvision:NAME, hf:..., path.py:factory ...")
    ],
    data: Annotated[
        str | None,
        typer.Option(
            "--data", metavar="DATA", help="What the network sees; random inputs of its usual shape if not given."
        ),
    ] = None,
    option: ModelOptions = None,
    data_option: DataOptions = None,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Weights: a file, 'pretrained' or 'random'; random if not given. Of hf:NAME the hub gives the sizes.",
        ),
    ] = None,
) -> None:
    """Show a network in stages (input, feature extraction, head): the sites found, their layout, channels, grid, cost.

    Example: limbeck inspect timm:resnet18
    """
    from limbeck.cli.job import parse_options

    published = model.partition(":")[0] in {"timm", "torchvision", "hf"}
    weights = "random" if weights is None and published else weights
    options, of_data = parse_options(option), parse_options(data_option)
    with loading():
        from limbeck.batch import tensors
        from limbeck.capture import probe
        from limbeck.sources import load_model

        network = load_model(model, weights=weights, options=options)
        batch = _batch(network, data, of_data)
    anatomy = probe(network, batch)
    console = table_console()
    console.print(
        f"{model}: {anatomy.parameters:,} parameters, {anatomy.macs:,} multiply-adds a sample; sites found by "
        f"{anatomy.method}"
    )
    shapes = ", ".join(str(tuple(each.shape[1:])) for each in tensors(batch.inputs))
    console.print(f"Input: {shapes} a sample")
    console.print(_sites(anatomy))
    console.print(f"Head: {anatomy.head or 'none (an encoder)'}; output {anatomy.output_shape or 'without logits'}")
    for note in anatomy.notes:
        console.print(f"Note: {note}")


def _batch(network: nn.Module, data: str | None, options: dict[str, object] | None) -> Batch:
    """What the network is run on: the first batch of the data, or random inputs."""
    from limbeck.batch import adapt_batch
    from limbeck.errors import DataError
    from limbeck.sources import load_data
    from limbeck.sources.example_inputs import example_inputs
    from limbeck.training.reading import read

    if data is None:
        return adapt_batch(example_inputs(network))
    first = next(read(load_data(data, options=options).train), None)
    if first is None:
        raise DataError(f"A network is inspected on a batch. Found none in {data}. Give data with at least one batch.")
    return adapt_batch(first)


def _sites(anatomy: Anatomy) -> Table:
    site = Column("site", no_wrap=True)
    table = Table("stage", site, "role", "axes", "channels", "grid", "prefix", "depth", "cost so far")
    table.title = "Feature extraction"
    for spec in anatomy.specs:
        stage = "head" if spec.role == "head" else str(spec.stage)
        grid = "-" if spec.grid is None else "x".join(map(str, spec.grid))
        cost = f"{anatomy.costs.get(spec.site, 1.0):.0%}"
        numbers = (str(spec.channels), grid, str(spec.prefix), f"{spec.depth:.2f}", cost)
        table.add_row(stage, spec.site, spec.role, spec.axes, *numbers, end_section=spec.role == "stage")
    return table
