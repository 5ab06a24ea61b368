"""What methods there are, read from the classes themselves."""

from limbeck.catalogue.families import FAMILIES, methods
from limbeck.catalogue.method import Method
from limbeck.catalogue.page import catalogue_page

__all__ = ["FAMILIES", "Method", "catalogue_page", "methods"]
