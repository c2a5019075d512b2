"""What a `file` or `directory` parameter may point at: objects of Cloud Storage."""

from __future__ import annotations

import re

from penstock.contract.target import Location, Problem

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")


def resolve_location(location: Location) -> str | Problem:
    """The URI that steps will read, or why not: they see Cloud Storage, and no file of this machine.

    Whether something lies there is not looked at: that would be a call. A step that finds nothing does not start.
    """
    wrong = refused(location.text, location.type)
    if wrong is None:
        return location.text.rstrip("/")
    shown = location.text if location.text.isprintable() else ascii(location.text)
    return Problem(
        severity="error",
        code="location_unsupported",
        message=f"`{shown[:200]}`: {wrong}",
        path=("parameters", location.parameter),
    )


def refused(text: str, type_: str) -> str | None:
    """Why steps cannot read what a text names, or None."""
    scheme = _SCHEME.match(text)
    if not scheme:
        return "steps run at Google and see no file of this machine; copy it to Cloud Storage and name its gs:// URI"
    if scheme[1] != "gs":
        return f"this target reads gs:// only, not {scheme[1]}://"
    bucket, _, path = text[len("gs://") :].partition("/")
    path = path.rstrip("/") if type_ == "directory" else path
    if not _BUCKET.fullmatch(bucket):
        return "this names no bucket; write gs://bucket/path"
    if not path and type_ == "file":
        return "this is a bucket, and a file is expected"
    if any(part in ("", ".", "..") for part in path.split("/")) and path:
        return "it has an empty part, `.` or `..`, which no file in a mounted bucket has"
    if not path.isprintable():
        return "it holds a character that is not printable, which no file in a mounted bucket has"
    return None
