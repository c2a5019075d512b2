"""A package that fails while it is imported."""

raise RuntimeError("the coil is cracked\nand this second line is nobody's business")
