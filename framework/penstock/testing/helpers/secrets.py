"""Runs with a sensitive value that nothing else of this machine says, and the files that hold it."""

from __future__ import annotations

import hashlib
import os
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path

import attrs
from attrs import evolve, frozen

from penstock.contract.run import RunRequest
from penstock.spec import Value
from penstock.testing.harness import Harness
from penstock.testing.helpers.directly import Put, request
from penstock.testing.laws import require

_LARGEST = 64 * 2**20
"""Bytes of a file that is looked into: what is larger is data."""


@frozen(kw_only=True)
class Secret:
    """A run that is to be handed over, its sensitive value, and a part of that which nothing else says."""

    run: RunRequest
    value: str
    mark: str

    @property
    def hash(self) -> str:
        """What the step of the run makes of the value."""
        return hashlib.sha256(self.value.encode()).hexdigest()

    def hidden(self, shown: object, where: str) -> None:
        """Hold that something that a target shows has nothing of the value."""
        text = shown.decode(errors="replace") if isinstance(shown, bytes) else repr(shown)
        require(13, self.mark not in text, f"{where} shows a sensitive value")

    def gone(self, harness: Harness, when: str) -> None:
        """Hold that no file of the target on this machine has the value."""
        found = [str(path) for path in self.holders(harness)]
        require(13, not found, f"{when} a sensitive value is in {', '.join(found)}")

    def kept_private(self, harness: Harness) -> None:
        """Hold that the files which have the value are this user's alone, or lie in a folder that is."""
        for path in self.holders(harness):
            above = [path, *path.parents]
            private = any(not one.stat().st_mode & 0o077 and one.stat().st_uid == os.getuid() for one in above)
            require(13, private, f"everybody can read a sensitive value in {path}")

    def holders(self, harness: Harness) -> Iterator[Path]:
        """The files with the value: below the kit's own folder, and wherever the target's options point to."""
        said = attrs.asdict(harness.hooks.target.options, recurse=False).values()
        roots = {harness.subject.config.home.parent, *(value for value in said if isinstance(value, Path))}
        for where, _, names in (found for root in roots for found in os.walk(root)):
            for path in (Path(where, name) for name in names):
                try:
                    told = path.lstat()
                    is_read = stat.S_ISREG(told.st_mode) and told.st_size <= _LARGEST
                    if is_read and self.mark.encode() in path.read_bytes():
                        yield path
                except OSError:  # it went meanwhile, or is nobody's to read
                    continue


def secret(made: Put, **values: Value) -> Secret:
    """A new run of the pipeline `guarded`, with a value that is hard to carry."""
    mark = uuid.uuid4().hex
    value = f" {mark}\n'$HOME' \"%s\" \\ `é` = ***"
    run = request(made, token=value, **values)
    typed = {**run.parameters.typed, "token": "***"}
    return Secret(
        run=evolve(run, parameters=evolve(run.parameters, typed=typed, sensitive=("token",))), value=value, mark=mark
    )
