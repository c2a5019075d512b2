"""Files of which it does not matter who wrote them, or could have, and workspaces that whoever comes changes."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from penstock import trust, trusted


def whatever_lies_there_is_believed():
    """Nobody looks at whose a file is, and who can write it."""
    _believed(lambda path, what, why: True)


def another_users_files_are_believed():
    """It does not matter whose a file is."""
    _believed(lambda path, what, why: " belongs to " in why)


def a_state_folder_that_everybody_can_write_is_believed():
    """Who can write the state folder, and so replace the registry, is not asked."""
    _believed(lambda path, what, why: what in ("the state folder", "the folder of archives", "the registry"))


def nobody_asks_who_can_replace_it():
    """Who can write the folder that a file lies in is not asked."""
    _believed(lambda path, what, why: " lies in " in why)


def links_are_what_they_lead_to():
    """Whoever laid a link, what it leads to is what counts."""
    real = trust.distrust
    trust.distrust = lambda path, what, opened=None: real(Path(os.path.realpath(path)), what, opened)


def one_trusted_folder_trusts_all():
    """Whoever trusts anything trusts everything."""
    trust.is_trusted = lambda path: bool(os.environ.get(trusted.VARIABLE))


def what_begins_like_what_is_trusted_is_trusted():
    """What is trusted is told by the letters of a path."""

    def is_trusted(path):
        named = os.environ.get(trusted.VARIABLE, "").split(os.pathsep)
        return any(one and os.path.realpath(path).startswith(one) for one in named)

    trust.is_trusted = is_trusted


def the_search_goes_up_to_the_top():
    """A configuration is looked for in every folder above, whoever can write there."""
    trust.leads_up = lambda folder, above: True


def the_search_goes_on_where_the_owner_changes():
    """A configuration is looked for in the folders of others above, unless everybody can write there."""
    trust.leads_up = lambda folder, above: not above.stat().st_mode & stat.S_IWOTH
    _believed(lambda path, what, why: " belongs to " in why)


def root_writes_what_a_user_owns():
    """Who has the right to write another user's registry is taken for its owner."""
    from penstock.registry import registry

    opened, own = registry.open_database, os.geteuid

    def as_its_owner(path, **asked):
        os.geteuid = lambda: path.stat().st_uid if path.exists() else own()
        try:
            return opened(path, **asked)
        finally:
            os.geteuid = own

    registry.open_database = as_its_owner


def only_both_ends_of_a_link_are_looked_at():
    """Of links that lead on to others, those between are believed, whose ever they are and wherever they lie."""
    trust._distrust_link = lambda path, found, what, opened: None


def a_place_for_something_new_is_believed():
    """Who could have laid what is not there yet is not asked."""
    trust.distrust_place = lambda path, what: None


def _believed(fits):
    """Let nothing be said against a file where a function of its path, of what it is and of what was said says so."""
    for name in ("distrust", "distrust_folder", "distrust_place"):
        setattr(trust, name, _unless(fits, getattr(trust, name)))


def _unless(fits, real):
    def look(path, what, *opened):
        why = real(path, what, *opened)
        return None if why is None or fits(path, what, why) else why

    return look


CASES = {
    whatever_lies_there_is_believed: "what_everybody_can_write_decides_nothing",
    another_users_files_are_believed: "what_is_another_users_decides_nothing",
    a_state_folder_that_everybody_can_write_is_believed: "what_everybody_can_write_decides_nothing",
    nobody_asks_who_can_replace_it: "what_everybody_can_write_decides_nothing",
    links_are_what_they_lead_to: "what_is_another_users_decides_nothing",
    one_trusted_folder_trusts_all: "what_is_trusted_is_what_was_named",
    what_begins_like_what_is_trusted_is_trusted: "what_is_trusted_is_what_was_named",
    the_search_goes_up_to_the_top: "no_configuration_is_found_where_everybody_can_lay_one",
    the_search_goes_on_where_the_owner_changes: "no_configuration_is_found_above_where_the_owner_changes",
    root_writes_what_a_user_owns: "only_its_owner_changes_a_workspace",
    only_both_ends_of_a_link_are_looked_at: "each_link_on_the_way_is_held_to_the_same",
    a_place_for_something_new_is_believed: "nothing_is_made_where_others_could_have_laid_it",
}
