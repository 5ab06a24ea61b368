"""Terms and the distiller that joins them."""

from limbeck.distiller.distiller import Distiller, DistillOutput
from limbeck.distiller.term import Term
from limbeck.distiller.term_group import TermGroup

__all__ = ["DistillOutput", "Distiller", "Term", "TermGroup"]
