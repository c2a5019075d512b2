"""Processes of the kit's own, and those of a target that it kills."""
