"""Accepted runs that nobody hands over, lists or decides about alone."""

from __future__ import annotations

from planting.statements import decided_before, rewritten


def acceptance_takes_two_transactions():
    """The run is committed before what is to be handed over."""
    decided_before(r"INSERT INTO outbox \(kind, subject, target, due, noted\) VALUES", seconds=0.0)


def runs_are_given_up_after_three_tries():
    """A run that its target could not take three times waits for ever."""
    rewritten(r"(SELECT r\.\*, q\..*) WHERE r\.id = \?", r"\g<0> AND tries < 3")


def pages_of_runs_skip_one():
    """The next page of runs begins one run too late."""
    rewritten(r"WHERE r\.seq < \?", "WHERE r.seq < iif(?1 > 1000000, ?1, ?1 - 1)")


def decisions_are_not_taken_alone():
    """Two processes may decide at the same time, and one of them finds that it cannot."""
    rewritten("BEGIN IMMEDIATE", "BEGIN")


def repeated_keys_hear_nothing():
    """Who repeats the key of a run that waits is answered as if its target had it."""
    from penstock.workspace import accepting, triggers

    def replayed(services, run):
        return accepting.Submitted(run=run, replayed=True, warnings=())

    accepting.replayed = triggers.replayed = replayed


def copies_decide():
    """A copy of a registry that lies apart from its state takes decisions like the original."""
    from penstock.registry.registry import Registry
    from penstock.workspace.services import Services

    Registry.only_look = lambda self, refusal: None
    Services.refuse_copy = lambda self: None


def names_of_a_file_are_not_counted():
    """Whether somebody may write a registry's file by another name is not asked."""
    from penstock.registry import file

    file.is_linked = lambda path: False


CASES = {
    acceptance_takes_two_transactions: "a submit, repeated",
    runs_are_given_up_after_three_tries: "never_given_up",
    pages_of_runs_skip_one: "runs_in_pages",
    repeated_keys_hear_nothing: "repeated_while_it_waits",
    decisions_are_not_taken_alone: "everybody_publishes",
    copies_decide: "a_copy_without_its_state_decides_nothing",
    names_of_a_file_are_not_counted: "a_registry_with_two_names_decides_nothing",
}
