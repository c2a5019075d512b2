"""Backends that cannot be used, or not for everything."""
