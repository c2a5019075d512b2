"""Dispatch: handing accepted runs to their targets, following them, and telling targets what they should know."""

from penstock.dispatch.dispatcher import Dispatcher, run_event

__all__ = ["Dispatcher", "run_event"]
