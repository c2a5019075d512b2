"""Backends that cannot be used."""
