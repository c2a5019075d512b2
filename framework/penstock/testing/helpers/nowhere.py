"""A place for artifacts of which only the size matters."""

from __future__ import annotations

from collections.abc import Iterator

from penstock.contract.artifacts import Destination, Words


class Nowhere(Destination):
    """Counts what comes, and keeps nothing."""

    came = 0

    def _put_file(self, words: Words, size: int, pieces: Iterator[bytes], executable: bool) -> None:
        self.came += sum(len(piece) for piece in pieces)

    def _put_folder(self, words: Words) -> None:
        pass

    def _put_link(self, words: Words, to: str) -> None:
        pass
