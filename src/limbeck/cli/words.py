"""The words that several commands share, each with its help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

JobFile = Annotated[
    Path | None,
    typer.Argument(
        metavar="JOB.yaml",
        help="A file with the flags of 'limbeck distill' and the parts of a recipe as keys; flags win. Factories and "
        "imports that it names are run, as if they were typed.",
    ),
]
TeacherOption = Annotated[
    list[str] | None,
    typer.Option("--teacher", metavar="MODEL", help="The network to learn from; repeated, several at once."),
]
TeacherDrop = Annotated[
    float | None,
    typer.Option(min=0.0, max=1.0, help="How likely one of several teachers is left out of a step; 0 if not given."),
]
StudentOption = Annotated[str | None, typer.Option("--student", metavar="MODEL", help="The network to train.")]
DataOption = Annotated[str | None, typer.Option("--data", metavar="DATA", help="What both networks see.")]
TeacherWeights = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FILE",
        help="The teacher's weights: .safetensors or .pt, 'pretrained', or 'random'; once for each of several.",
    ),
]
TeacherNormalisation = Annotated[
    str | None,
    typer.Option(
        metavar="HOW",
        help="How the teacher sees images: auto (as its pretrained weights were trained), published (as its library's "
        "weights were, whatever the file), or data (as the student does).",
    ),
]
StudentWeights = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Weights that the student starts from, as for the teacher; random if not given."),
]
ModelOptions = Annotated[
    list[str] | None,
    typer.Option(metavar="KEY=VALUE", help="Argument of the builder, such as num_classes=10. May be repeated."),
]
DataOptions = Annotated[
    list[str] | None,
    typer.Option(metavar="KEY=VALUE", help="Argument of the data, such as train=200. May be repeated."),
]
BatchSize = Annotated[int | None, typer.Option(min=1, help="Samples in a batch.")]
RecipeOption = Annotated[
    str | None,
    typer.Option(metavar="NAME|FILE", help="How to distil: 'limbeck recipes' lists the shipped ones. Default: auto."),
]
StartOption = Annotated[
    str | None,
    typer.Option(
        "--start",
        metavar="LAYERS",
        help="Layers of the teacher that the student starts with: spread, first or last; as-given for its own weights.",
    ),
]
Imports = Annotated[
    list[str] | None,
    typer.Option("--import", metavar="MODULE", help="Import this first, for a recipe that names its classes."),
]
Seed = Annotated[int | None, typer.Option(min=0, help="Of everything random; the plan's or 0 if not given.")]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")]
CacheEncoding = Annotated[str | None, typer.Option(help="float32, float16, int8 or pca; float16 if not given.")]
CacheTopK = Annotated[
    int | None, typer.Option(min=1, help="Keep so many of the most probable classes of each answer only; else all.")
]
CacheViews = Annotated[
    int | None, typer.Option(min=1, help="Augmented views of each sample; 8 if not given and the data is augmented.")
]
