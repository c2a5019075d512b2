"""How the steps of a pipeline hang together, and everything that is wrong with them."""

from penstock.graph.edges import dependencies, input_types, order
from penstock.graph.problems import check

__all__ = ["check", "dependencies", "input_types", "order"]
