"""One of every change that the history remembers, in a row, each with what it must say of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from penstock.testing.harness import Harness
from penstock.testing.helpers.setup import set_up
from penstock.workspace import Workspace

Row = tuple[str, str, str, str | None, str | None, str]
"""What a row says, who, when and through which door aside: action, kind, subject, from, to, reason."""

Change = tuple[str, Callable[[Workspace], Any], Callable[[], list[Row]]]
"""A change: what it is in words, the call, and the rows that it leaves, known once it was made."""


def changes(harness: Harness, first: str, second: str, digests: dict[str, str]) -> Iterator[Change]:
    """One change after the other to an endpoint and two published pipelines: what it is, the call, and its rows."""

    def publish(word: str, **asked: Any) -> Callable[[Workspace], None]:
        def call(ws: Workspace) -> None:
            digests[word] = set_up(harness, ws, word, name=word, **asked).digest

        return call

    def rows(*said: tuple[str, str, str, str | None, str | None] | Row) -> Callable[[], list[Row]]:
        return lambda: [(*row[:5], row[5] if len(row) > 5 else "") for row in said]

    moved, closed, opened = "default_moved", "gate_closed", "gate_opened"
    yield "a publish", publish("a"), lambda: [("pipeline_published", "pipeline", first, None, digests["a"], "")]
    yield (
        "creating an endpoint",
        lambda ws: ws.endpoints.create("one", first),
        rows(
            ("endpoint_created", "endpoint", "one", None, None),
            ("version_added", "version", "one@0", None, first),
            (moved, "endpoint", "one", None, "0"),
        ),
    )
    yield (
        "a publish as the default",
        publish("b", endpoint="one", default=True),
        lambda: [
            ("pipeline_published", "pipeline", second, None, digests["b"], ""),
            ("version_added", "version", "one@1", None, second, ""),
            (moved, "endpoint", "one", "0", "1", ""),
        ],
    )
    for what, call, row in (
        ("a rollback", lambda ws: ws.endpoints.rollback("one"), ("default_rolled_back", "endpoint", "one", "1", "0")),
        (
            "closing a version",
            lambda ws: ws.endpoints.disable("one@0", reason="flood"),
            (closed, "version", "one@0", "open", "closed", "flood"),
        ),
        (
            "closing the endpoint",
            lambda ws: ws.endpoints.disable("one", reason="fire"),
            (closed, "endpoint", "one", "open", "closed", "fire"),
        ),
        (
            "opening the version",
            lambda ws: ws.endpoints.enable("one@0"),
            (opened, "version", "one@0", "closed", "open"),
        ),
        (
            "renaming it",
            lambda ws: ws.endpoints.rename("one", "two"),
            ("endpoint_renamed", "endpoint", "two", "one", "two"),
        ),
        ("opening it", lambda ws: ws.endpoints.enable("two"), (opened, "endpoint", "two", "closed", "open")),
        (
            "opening it to everybody",
            lambda ws: ws.endpoints.access("two", "public"),
            ("access_changed", "endpoint", "two", "private", "public"),
        ),
        (
            "a deduplication window",
            lambda ws: ws.endpoints.deduplicate("two", 3600),
            ("deduplication_changed", "endpoint", "two", "off", "1h"),
        ),
        (
            "closing what it publishes",
            lambda ws: ws.pipelines.disable(first, reason="ice"),
            (closed, "pipeline", first, "open", "closed", "ice"),
        ),
        ("moving the default", lambda ws: ws.endpoints.set_default("two", "1"), (moved, "endpoint", "two", "0", "1")),
        (
            "opening what it published",
            lambda ws: ws.pipelines.enable(first),
            (opened, "pipeline", first, "closed", "open"),
        ),
        ("deleting it", lambda ws: ws.endpoints.delete("two"), ("endpoint_deleted", "endpoint", "two", None, None)),
        (
            "deleting what it published",
            lambda ws: ws.pipelines.delete(second),
            ("pipeline_deleted", "pipeline", second, None, None),
        ),
    ):
        yield what, call, rows(row)
