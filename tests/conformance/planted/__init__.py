"""Faults that a backend can have, by the law that each breaks; every one names in CASES the check that catches it."""
