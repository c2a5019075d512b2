"""Callers who name files that nobody opened to them, pipelines that take some along, and values that are not hidden."""

from __future__ import annotations

import os
from pathlib import Path

from attrs import evolve
from planting.hooks import around

from penstock.callers import Caller


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
    """What a link leads to is taken to lie where the link does, and links are followed when files are opened."""
    from penstock import opening
    from penstock.snapshot import walking

    os.path.realpath = lambda path, *, strict=False: os.path.abspath(path)
    walking.end_of = lambda path: (Path(os.path.abspath(path)), path.stat())
    opening.SAFELY &= ~os.O_NOFOLLOW
    os.O_NOFOLLOW = 0


def values_are_kept_with_the_run():
    """A run's record has sensitive values as they were given."""
    _bound(lambda bound: evolve(bound, typed={**bound.typed, **{name: bound.texts[name] for name in bound.sensitive}}))


def fingerprints_are_in_clear():
    """What a request's fingerprint has of a sensitive value is the value."""
    from penstock.registry import sensitive

    sensitive.keyed_hash = lambda home, text: text


def refusals_say_what_was_given():
    """A refusal of parameters says what was given."""
    from penstock.errors import ParameterInvalid
    from penstock.workspace import accepting

    bind = accepting.bind_parameters

    def tell(snapshot, options, resolve):
        try:
            return bind(snapshot, options, resolve)
        except ParameterInvalid as error:
            given = ", ".join(map(str, options.parameters.values()))
            raise ParameterInvalid(f"{error.message}, got {given}", details=error.details) from None

    accepting.bind_parameters = tell


def what_was_given_is_logged():
    """Every trigger writes a line with what it was given."""
    import logging

    def told(bound):
        logging.getLogger("penstock").info("a trigger with %s", bound.texts)
        return bound

    _bound(told)


def values_stay_after_the_end():
    """Nobody takes away the file with a run's sensitive values."""
    from penstock.registry import sensitive

    sensitive.forget = lambda home, run: None


def reruns_take_the_value_of_before():
    """A rerun takes the sensitive values that the workspace remembers of a run."""
    from penstock.workspace import triggers

    values, parameters_of = {}, triggers.parameters_of
    _bound(lambda bound: (values.update({name: bound.texts[name] for name in bound.sensitive}), bound)[1])
    triggers.parameters_of = lambda services, run, given: {
        **{name: values[name] for name, shown in run.parameters.items() if shown == "***"},
        **parameters_of(services, run, given),
    }


def _bound(change):
    """Pass what a trigger's parameters are bound to through a function."""
    from penstock.workspace import accepting

    bind = accepting.bind_parameters
    accepting.bind_parameters = lambda *arguments: change(bind(*arguments))


CASES = {
    everybody_stands_in_the_current_folder: "no_file_is_named_from_elsewhere",
    paths_of_parameters_are_absolute_all_the_same: "no_file_is_named_from_elsewhere",
    what_begins_like_what_is_opened_is_open: "only_what_was_opened_is_named",
    links_lie_where_they_are: "what_lies_outside_its_folder_stays_out",
    values_are_kept_with_the_run: "a_sensitive_value_is_its_runs_alone",
    fingerprints_are_in_clear: "a_sensitive_value_is_its_runs_alone",
    refusals_say_what_was_given: "a_sensitive_value_is_its_runs_alone",
    what_was_given_is_logged: "a_sensitive_value_is_its_runs_alone",
    values_stay_after_the_end: "a_sensitive_value_is_its_runs_alone",
    reruns_take_the_value_of_before: "a_rerun_has_no_value_of_before",
}
