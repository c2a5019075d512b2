"""Targets: finding a backend, holding it to the hook contract, and opening a configured place with it."""
