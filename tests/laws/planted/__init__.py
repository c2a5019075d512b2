"""Faults that the core can have, by the law that each breaks; every one names in CASES the question that catches it."""
