"""What the two targets took and refused of the calls that players made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock.testing.helpers.refusals import Refusals as Counted

MAIN, OTHER = "main", "other"
"""What players call the two targets."""


class Refusals(Counted):
    """Counts what players are answered."""

    def hear(self, verb: str, arguments: Mapping[str, Any], answer: Mapping[str, Any]) -> bool:
        """Count what came of a call of a player's. False when the target refused: then nothing has happened."""
        target = arguments.get("target", MAIN)
        if not verb.startswith("publish") or target not in self._targets:
            return True
        if answer.get("refused") == "target_unsupported":
            self.refused(target, answer["at"], answer["message"])
            return False
        if "published" in answer:
            self.took(target)
        return True
