"""An answer as it came, held against what it has to be: a part of it, or a refusal."""

from __future__ import annotations

from typing import Any

from laws.player import Answer

from penstock.testing.laws import LawBroken, require

LAW_OF = {
    "label_frozen": 1, "label_reserved": 1, "ambiguous": 1, "pipeline_not_found": 1, "endpoint_not_found": 2,
    "version_not_found": 2, "name_taken": 2, "default_changed": 3, "nothing_to_roll_back": 3, "in_use": 3,
    "endpoint_disabled": 5, "version_disabled": 5, "pipeline_disabled": 5, "parameter_invalid": 6,
    "idempotency_conflict": 8, "run_not_finished": 9, "run_not_found": 12, "wait_timeout": 12,
    "not_authenticated": 13,
}  # fmt: skip
"""The law that speaks through each code."""


class No(Exception):
    """The call has to be refused, with this code, by its law; `says` are words that the message has to have."""

    def __init__(self, code: str, why: str, *, at: tuple[str, ...] = (), says: tuple[str, ...] = ()) -> None:
        super().__init__(why)
        self.code = code
        self.law = LAW_OF[code]
        self.why = why
        self.at = at
        self.says = says


class Seen:
    """An answer as it came. To look into one that is a refusal breaks the law that refused for nothing."""

    def __init__(self, call: str, answer: Answer) -> None:
        self.call = call
        self.answer = answer
        self.allowed = False

    @property
    def refused(self) -> str | None:
        """The code of a refusal."""
        return self.answer.get("refused")

    def __getitem__(self, name: str) -> Any:
        """A part of an answer that is no refusal."""
        self.granted()
        return self.answer[name]

    def may_be(self, code: str) -> bool:
        """Whether it is a refusal that is allowed here and not demanded."""
        self.allowed = self.refused == code
        return self.allowed

    def granted(self, law: int | None = None, why: str = "nothing forbids it") -> None:
        """Hold that it is no refusal, by a law, or by the one that refused."""
        if self.refused is not None and not self.allowed:
            broken = law or LAW_OF.get(self.refused, 12)
            message = f"{self.call} is refused with `{self.refused}`, though {why}: {self.answer['message']}"
            raise LawBroken(broken, message)

    def refused_by(self, no: No) -> None:
        """Hold that it is the refusal that has to be."""
        require(no.law, self.refused, f"{self.call} is answered, though {no.why}; it must be refused with `{no.code}`")
        if self.refused != no.code:
            # Which of several refusals comes first is law 6, where one of them is about parameters. A code that no
            # law speaks through (a busy registry, say) is trouble of this machine, whatever was to be refused.
            law = 6 if "parameter_invalid" in (self.refused, no.code) else no.law if self.refused in LAW_OF else 12
            message = f"{self.call} is refused with `{self.refused}`, though {no.why}; expected `{no.code}`"
            raise LawBroken(law, message)
        if no.at:
            found = sorted(self.answer["at"])
            message = f"{self.call} says what is wrong at {found}, expected all of {sorted(no.at)}"
            require(no.law, found == sorted(no.at), message)
        for word in no.says:
            require(no.law, word in self.answer["message"], f"{self.call} is refused without saying `{word}`")

    def same(self, law: int, found: object, expected: object, what: str) -> None:
        """Hold that a part of the answer is what is expected."""
        require(law, found == expected, f"{self.call}: {what} is {found!r}, expected {expected!r}")
