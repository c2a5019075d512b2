"""The thirteen laws by number and name, and the one way to say that something breaks one of them."""

from __future__ import annotations

from attrs import frozen


@frozen
class Law:
    """One law: its number, its name, and what it promises in a line."""

    number: int
    name: str
    says: str


LAWS: tuple[Law, ...] = (
    Law(1, "Frozen", "a published pipeline never changes, and a label stands for one digest for ever"),
    Law(2, "Counted", "versions count from 0, each is given once, whoever asks at the same time"),
    Law(3, "Pointed", "the default moves only when somebody says so, and a rollback takes the last move back"),
    Law(4, "Resolved once", "a trigger runs what was the default when it was accepted"),
    Law(5, "Gated", "a closed gate refuses every trigger that passes it, and no other gate opens it"),
    Law(6, "Checked before cost", "whatever is wrong is said at once, before anything is accepted or started"),
    Law(7, "Byte-exact", "a value arrives in its argument exactly as written"),
    Law(8, "Once", "one intent is one run: repeats give the run that is there"),
    Law(9, "Monotone", "states go forward, and an end is final"),
    Law(10, "Remembered", "every change is in the history: who, what, when, from, to, why"),
    Law(11, "The same everywhere", "the same calls give the same states, arguments, outputs and logs on every target"),
    Law(12, "Nothing lost", "whatever is killed at whatever moment, no accepted run is lost or doubled"),
    Law(13, "Confined", "nobody reaches more than was opened to them"),
)
"""The laws in order."""


class LawBroken(AssertionError):
    """Something observed contradicts a law; `law` is its number."""

    def __init__(self, law: int, message: str) -> None:
        super().__init__(f"law {law} ({LAWS[law - 1].name}): {message}")
        self.law = law
        self.message = message

    def __reduce__(self) -> tuple[type[LawBroken], tuple[int, str]]:
        """Pickle it as what it was made from: other processes raise it too."""
        return LawBroken, (self.law, self.message)


class Untested(Exception):
    """A check could not be made here; the message says why. It counts as skipped, never as passed."""


def require(law: int, truth: object, message: str) -> None:
    """Raise LawBroken with the message unless `truth` is true."""
    if not truth:
        raise LawBroken(law, message)


def same(law: int, found: object, expected: object, what: str) -> None:
    """Raise LawBroken unless two things are equal: `what` is a phrase like `the digest after a repeat`."""
    if found != expected:
        raise LawBroken(law, f"{what} is {found!r}, expected {expected!r}")
