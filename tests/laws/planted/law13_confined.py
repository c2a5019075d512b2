"""Callers who name files that nobody opened to them, and pipelines that take some along."""

from __future__ import annotations

import os
from pathlib import Path

from attrs import evolve
from planting.hooks import around

from penstock.records import Caller


def everybody_stands_in_the_current_folder():
    """A caller without a folder is taken to be in the server's."""
    made = Caller.__init__

    def make(self, *arguments, **named):
        made(self, *arguments, **{**named, "folder": named.get("folder") or Path()})

    Caller.__init__ = make


def paths_of_parameters_are_absolute_all_the_same():
    """The path of a caller without a folder is looked up from the root."""
    around(
        "penstock_resolve_location",
        lambda real, target, location: real(target, evolve(location, base=location.base or Path("/"))),
    )


def what_begins_like_what_is_opened_is_open():
    """What is opened is told by the letters of a path, not by where it leads."""

    def resolve(real, target, location):
        root = str(target.home / target.options.place / "opened")
        known = location.text.startswith(root) and os.path.exists(location.text)
        return location.text if known else real(target, location)

    around("penstock_resolve_location", resolve)


def links_lie_where_they_are():
    """What a link leads to is taken to lie where the link does."""
    os.path.realpath = lambda path, *, strict=False: os.path.abspath(path)


CASES = {
    everybody_stands_in_the_current_folder: "no_file_is_named_from_elsewhere",
    paths_of_parameters_are_absolute_all_the_same: "no_file_is_named_from_elsewhere",
    what_begins_like_what_is_opened_is_open: "only_what_was_opened_is_named",
    links_lie_where_they_are: "what_lies_outside_its_folder_stays_out",
}
