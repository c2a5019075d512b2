"""Routing: every call of a hook goes through here, so that exactly one backend answers and plugins only wrap."""

from penstock.operations.target import TargetOperations, operations_for
from penstock.operations.workspace import WorkspacePlugins

__all__ = ["TargetOperations", "WorkspacePlugins", "operations_for"]
