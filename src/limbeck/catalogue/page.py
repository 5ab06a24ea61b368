"""The catalogue as a page of the documentation."""

from __future__ import annotations

import textwrap

from limbeck.catalogue.families import FAMILIES, methods
from limbeck.catalogue.method import Method

_INTRODUCTIONS = {
    "losses": "Compare a student's feature with a teacher's (Loss 1).",
    "outputs": "Judge the student's answers (Loss 2).",
    "associations": "Say in every step how much each of several links counts.",
    "projectors": "Bring the student's feature to the shape of its target.",
    "targets": "Turn the teacher's feature into what the student must predict.",
    "balancers": "Weigh the losses against each other.",
    "schedules": "Move the weights as training goes on.",
    "similarity": "Measure how alike two sites are, before training.",
    "mapping": "Choose which student site learns from which teacher site.",
}


def catalogue_page() -> str:
    """Every method with its formula, source, needs and cost, as Markdown."""
    head = textwrap.dedent(
        """\
        # Catalogue

        Written by `limbeck methods --markdown` from the classes themselves, anew for every release; `limbeck methods`
        shows the same of what is installed. Any of these can stand in a recipe or plan by its name. Parameters and
        multiplications (in matrix products, forward) are those between a student site of 144 and a teacher site of 576
        channels at 8 x 8 positions, for 16 samples.
        """
    )
    return "\n".join([head, *(_family(family) for family in FAMILIES)])


def _family(family: str) -> str:
    found = methods(family)
    title = f"## {family.capitalize()}\n\n{_INTRODUCTIONS[family]}\n"
    return "\n".join([title, *(_method(each) for each in found)])


def _method(method: Method) -> str:
    facts = [f"needs {', '.join(method.needs)}" if method.needs else ""]
    facts.append(f"learns {method.parameters:,} numbers" if method.parameters else "")
    facts.append(f"{method.multiplications:,.4g} million multiplications" if method.multiplications else "")
    facts.append(f"options: `{', '.join(method.options)}`" if method.options else "")
    facts.append(f"[source]({method.paper})" if method.paper else "our choice")
    line = "; ".join(each for each in facts if each)
    formula = f"\n$$ {method.formula} $$\n" if method.formula else ""
    return f"### {method.name}\n\n{method.summary}\n{formula}\n{line[0].upper()}{line[1:]}.\n"
