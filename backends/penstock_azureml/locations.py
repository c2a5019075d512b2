"""What a `file` or `directory` parameter may point at: what a datastore holds, a data asset, or an address."""

from __future__ import annotations

import re

from penstock.contract.target import Location, Problem

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_ASSET = re.compile(r"azureml:[A-Za-z0-9][\w.-]*:[\w.-]+|azureml:/subscriptions/\S+")
_READ = ("azureml", "https", "wasbs", "abfss")
"""Schemes that Azure ML reads data from (its reference of the YAML of jobs, `path` of data)."""


def resolve_location(location: Location) -> str | Problem:
    """The URI that steps will read, or why not: they see Azure, and no file of this machine.

    Whether something lies there is not looked at: that would be a call. A step that finds nothing does not start.
    """
    wrong = refused(location.text)
    if wrong is None and "://" not in location.text:
        return location.text
    if wrong is None:
        return location.text.rstrip("/") + ("/" if location.type == "directory" else "")
    shown = location.text if location.text.isprintable() else ascii(location.text)
    return Problem(
        severity="error",
        code="location_unsupported",
        message=f"`{shown[:200]}`: {wrong}",
        path=("parameters", location.parameter),
    )


def refused(text: str) -> str | None:
    """Why steps cannot read what a text names, or None."""
    if _ASSET.fullmatch(text):
        return None
    scheme = _SCHEME.match(text)
    if not scheme:
        return (
            "steps run at Azure and see no file of this machine; copy it to a datastore and name its "
            "azureml://datastores/NAME/paths/... URI"
        )
    if scheme[1] not in _READ:
        return f"this target reads {', '.join(f'{one}://' for one in _READ)} and data assets, not {scheme[1]}://"
    if not text.isprintable() or " " in text:
        return "it holds a character that no URI has"
    return None
