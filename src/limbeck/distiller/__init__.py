"""Terms and the distiller that joins them."""

from limbeck.distiller.distiller import Distiller, DistillOutput
from limbeck.distiller.dropping import Dropping
from limbeck.distiller.folding import fold_head
from limbeck.distiller.lifting import Lifted
from limbeck.distiller.term import Term
from limbeck.distiller.term_group import TermGroup

__all__ = ["DistillOutput", "Distiller", "Dropping", "Lifted", "Term", "TermGroup", "fold_head"]
