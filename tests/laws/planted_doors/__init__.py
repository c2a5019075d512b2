"""Faults that a door can have, by the law that each breaks; CASES names the door that is asked and the question."""
