"""How thorough one examination is: how many examples, how long a history, how patient."""

from __future__ import annotations

from attrs import frozen


@frozen(kw_only=True)
class Profile:
    """`thoroughness` multiplies the number of examples of every property. `steps` is the length of a history of
    calls, `patience` the seconds that a run of the kit's may take at the most. With `shrink` a failure is made as
    small as it can be, which takes a while.
    """

    name: str
    thoroughness: float = 1.0
    steps: int = 25
    patience: float = 120.0
    shrink: bool = True

    def examples(self, usual: int) -> int:
        """The number of examples of a property that usually takes `usual` of them, at least one."""
        return max(1, round(usual * self.thoroughness))


DEFAULT = Profile(name="default")
"""Under 90 seconds for a target on this machine."""

DEEP = Profile(name="deep", thoroughness=12.0, steps=60, patience=600.0)
"""A dozen times the examples, and longer histories: about five minutes for a target on this machine."""
