"""Gates that let through, open each other, or do not say who closed them."""

from __future__ import annotations

from planting.statements import decided_before, preceded, rewritten


def closed_endpoints_pass_by_their_id():
    """The gate of an endpoint only stops who calls it by its name."""
    rewritten(r"SELECT \* FROM endpoints WHERE id = \?", "SELECT NULL AS gate_since, * FROM endpoints WHERE id = ?")


def opening_the_endpoint_opens_its_versions():
    """Opening an endpoint opens all of its versions."""
    preceded("UPDATE endpoints SET gate_since", "UPDATE versions SET gate_since = NULL, gate_by = '', gate_reason = ''")


def closing_closes_copies():
    """The gate of a published pipeline is that of its copies on other targets as well."""
    rewritten(
        r"(UPDATE published SET gate_since .*) WHERE seq = \?",
        r"\1 WHERE digest = (SELECT digest FROM published WHERE seq = ?)",
    )


def gates_are_closed_by_somebody():
    """A closed gate does not say by whom it was closed."""
    rewritten(r"gate_by = \?", "gate_by = iif(? = '', '', 'somebody')")


def closed_things_are_not_counted():
    """A plain listing leaves out what is closed and does not say so."""
    rewritten(r"SELECT count\(\*\) AS n", "SELECT 0 * count(*) AS n")


def gates_are_looked_at_first():
    """A trigger that found its gates open is accepted, closed or not by then."""
    decided_before("INSERT INTO runs")


def what_was_open_is_open():
    """A trigger that names what was accepted before passes the gates of the version and of the published pipeline."""
    rewritten(r"AND v\.gate_since IS NULL AND p\.gate_since IS NULL AND p\.seq", "AND p.seq")


CASES = {
    closed_endpoints_pass_by_their_id: "every_gate_on_every_way",
    opening_the_endpoint_opens_its_versions: "every_gate_on_every_way",
    closing_closes_copies: "gates_of_copies",
    gates_are_closed_by_somebody: "closed_says_by_whom",
    closed_things_are_not_counted: "listings_leave_closed_out",
    what_was_open_is_open: "what_was_accepted_before",
    gates_are_looked_at_first: "triggers_while_gates_move",
}
