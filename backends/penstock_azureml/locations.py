"""What a `file` or `directory` parameter may point at: what a datastore holds, a data asset, or an address."""

from __future__ import annotations

import re

from penstock.contract.target import Location, Problem

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_ASSET = re.compile(
    r"azureml:[A-Za-z0-9][\w.-]*:[\w.-]+"
    r"|azureml:/subscriptions/\S+"
    r"|azureml://(?:registries|locations|subscriptions)/(?:(?!datastores/)[^/\s]+/)+versions/[\w.-]+"
)
"""An id of a data asset: in the workspace by its short or its ARM id, or in a registry or any workspace by a URI."""
_UNVERSIONED = re.compile(r"azureml:(?P<name>[A-Za-z0-9][\w.-]*)(?:@[\w.-]*)?")
_READ = ("azureml", "https", "wasbs", "abfss")
"""Schemes that Azure ML reads data from (its reference of the YAML of jobs, `path` of data)."""


def resolve_location(location: Location) -> str | Problem:
    """The URI that steps will read, or why not: they see Azure, and no file of this machine.

    Whether something lies there is not looked at: that would be a call. A step that finds nothing does not start.
    """
    wrong = refused(location.text)
    if wrong is None and _ASSET.fullmatch(location.text):
        return location.text
    if wrong is None:  # a query, such as a SAS, stays behind the path
        path, mark, query = location.text.partition("?")
        return path.rstrip("/") + ("/" if location.type == "directory" else "") + mark + query
    shown = location.text if location.text.isprintable() else ascii(location.text)
    return Problem(
        severity="error",
        code="location_unsupported",
        message=f"`{shown[:200]}`: {wrong}",
        path=("parameters", location.parameter),
    )


def input_type(uri: str) -> str | None:
    """What an input is that has such a URI: those of directories end in a slash; None for ids of assets, which do not
    say.
    """
    if _ASSET.fullmatch(uri):
        return None
    return "uri_folder" if uri.partition("?")[0].endswith("/") else "uri_file"


def refused(text: str) -> str | None:
    """Why steps cannot read what a text names, or None."""
    if _ASSET.fullmatch(text):
        return None
    if unversioned := _UNVERSIONED.fullmatch(text):
        name = unversioned["name"]
        return f"it names no version of a data asset, and a run says what it reads; write `azureml:{name}:VERSION`"
    scheme = _SCHEME.match(text)
    if not scheme:
        return (
            "steps run at Azure and see no file of this machine; copy it to a datastore and name its "
            "azureml://datastores/NAME/paths/... URI"
        )
    if scheme[1] not in _READ:
        return f"this target reads {', '.join(f'{one}://' for one in _READ)} and data assets, not {scheme[1]}://"
    odd = next((char for char in text if char == " " or not char.isprintable()), None)
    if odd is not None:
        return f"it holds {odd!r}, which no URI has; write it in percent-encoding"
    if not text[scheme.end() :].partition("?")[0].strip("/"):
        return f"it names no place; write {scheme[0]}... with the path of the content"
    return None
