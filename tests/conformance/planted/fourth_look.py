"""Faults in what is kept and decided that each want a check of their own: what only luck would find in a history."""

import hashlib
import json

from attrs import evolve
from planted.second_look import AskedOtherwise

from penstock.contract.run import Failure
from penstock.errors import PenstockError
from penstock.registry import (
    Registry,
    acceptance,
    asof,
    cancelling,
    default_version,
    endpoints,
    gates,
    handover,
    history,
    listing,
    lookup,
    outbox,
    publications,
    published,
    reports,
    rows,
)
from penstock.snapshot import members, packing, stored, taking
from penstock.spec.values import RawValue
from penstock.targets.facade import TargetOperations
from penstock.workspace import parameters as settling
from penstock.workspace import triggers


def executable_bits_are_not_in_the_digest():
    """The digest of code is of names and bytes only."""
    _digest_of(lambda member: member.path)


def names_of_files_are_not_in_the_digest():
    """The digest of code is of bytes only."""
    _digest_of(lambda member: member.executable)


def data_is_not_in_the_digest():
    """What travels as a default is not part of the digest, only code is."""

    def snapshot_digest(canonical, archives):
        code = {path: archive.digest for path, archive in archives.items() if archive.kind == "code"}
        content = json.dumps({"archives": code, "spec": json.loads(canonical)}, sort_keys=True)
        return f"sha256:{hashlib.sha256(content.encode()).hexdigest()}"

    stored.snapshot_digest = taking.snapshot_digest = snapshot_digest


def limits_are_not_in_the_digest():
    """Of parameters only names and types are part of the digest."""
    digest = stored.snapshot_digest

    def snapshot_digest(canonical, archives):
        document = json.loads(canonical)
        for parameter in document.get("parameters", {}).values():
            for key in parameter.keys() - {"type"}:
                del parameter[key]
        return digest(json.dumps(document, sort_keys=True), archives)

    stored.snapshot_digest = taking.snapshot_digest = snapshot_digest


def publishing_again_describes_anew():
    """What is published again takes on the description that comes with it."""
    publish = published.publish

    def publish_and_describe(tx, order, caller):
        done = publish(tx, order, caller)
        tx.run("UPDATE published SET description = ? WHERE id = ?", order.description, done.published.id)
        return evolve(done, published=published.get(tx, done.published.id))

    published.publish = publish_and_describe


def adding_again_is_a_change():
    """An endpoint has another revision after a version was added that it has."""
    ensure = endpoints.ensure_version

    def ensure_and_mark(tx, *arguments, **named):
        done = ensure(tx, *arguments, **named)
        if not done.added:
            outbox.mark(tx, lookup.need_endpoint(tx, done.endpoint_id)["seq"])
        return done

    endpoints.ensure_version = ensure_and_mark


def publishing_revives_what_was_deleted():
    """Publishing behind the name of a deleted endpoint brings that back, with its versions."""
    ensure = endpoints.ensure_version

    def revive(tx, ref, row, caller, **more):
        if lookup.find_endpoint(tx, ref) is None:
            last = "SELECT max(seq) FROM endpoints WHERE name = ? AND deleted IS NOT NULL"
            tx.run(f"UPDATE endpoints SET deleted = NULL WHERE seq = ({last})", ref)
        return ensure(tx, ref, row, caller, **more)

    endpoints.ensure_version = revive


def closed_endpoints_keep_nothing():
    """What a closed endpoint points to can be deleted."""
    delete, asked, instead = published.delete, "e.deleted IS NULL", "e.deleted IS NULL AND e.gate_since IS NULL"
    published.delete = lambda tx, ref, caller: delete(AskedOtherwise(tx, asked, instead), ref, caller)


def trials_keep_nothing():
    """A target is told to forget what an unfinished trial runs."""

    def retire(tx, publication):
        if tx.one("SELECT 1 FROM published WHERE publication = ? AND deleted IS NULL LIMIT 1", publication):
            return None
        tx.run("UPDATE publications SET retired = 1 WHERE seq = ?", publication)
        row = tx.one("SELECT * FROM publications WHERE seq = ?", publication)
        return row["target"], rows.publication_of(row)

    publications.retire_if_unused = retire


def trials_run_what_was_tried_first():
    """The snapshot of a trial is remembered by the name of its pipeline."""
    accept, first = triggers._accept_trial, {}

    def accept_first(context, caller, place, taken, order, request):
        tried = first.setdefault(order.ref, taken)
        return accept(context, caller, place, tried, evolve(order, digest=tried.digest), request)

    triggers._accept_trial = accept_first


def trials_say_they_were_published():
    """A trial says that it came through a published pipeline."""
    locate = acceptance._locate_trial
    acceptance._locate_trial = lambda tx, order: evolve(locate(tx, order), resolved_from="published")


def reruns_say_what_their_run_said():
    """A rerun of a run by the default says that it came by the default too."""
    locate = acceptance._locate

    def locate_as_before(tx, order, addressed):
        found = locate(tx, order, addressed)
        if order.rerun_of is None:
            return found
        return evolve(found, resolved_from=lookup.need_run(tx, order.rerun_of)["resolved_from"])

    acceptance._locate = locate_as_before


def closing_closes_copies():
    """The gate of a published pipeline is that of its copies on other targets as well."""
    set_gate = gates.set_gate

    def set_all(tx, kind, ref, **more):
        done = set_gate(tx, kind, ref, **more)
        if kind == "pipeline":
            row = tx.one("SELECT * FROM published WHERE id = ?", done.subject_id)
            same = "UPDATE published SET gate_since = ?, gate_by = ?, gate_reason = ? WHERE name = ? AND label = ?"
            tx.run(same, *(row[key] for key in ("gate_since", "gate_by", "gate_reason", "name", "label")))
        return done

    gates.set_gate = set_all


def reasons_are_cut():
    """Of a reason the first 32 characters are kept."""
    _reason_as(lambda reason: reason[:32])


def reasons_are_lines():
    """Of a reason the first line is kept."""
    _reason_as(lambda reason: reason.partition("\n")[0])


def pages_are_cut_before_closed_things_are_left_out():
    """Closed things take up a place on a page and are left out of it then."""
    endpoints_of, published_of = listing.list_endpoints, listing.list_published

    def plain(page):
        return evolve(page, items=tuple(one for one in page.items if one.gate is None))

    listing.list_endpoints = lambda tx, *, all=False, **more: (
        endpoints_of(tx, all=all, **more) if all else plain(endpoints_of(tx, all=True, **more))
    )
    listing.list_published = lambda tx, *, all=False, **more: (
        published_of(tx, all=all, **more) if all else plain(published_of(tx, all=True, **more))
    )


def hidden_counts_everything():
    """A listing of one name says how much is closed of any name."""
    listed = listing.list_published

    def listed_with_all(tx, *, all=False, **more):
        page = listed(tx, all=all, **more)
        return page if all else evolve(page, hidden=listed(tx, limit=1).hidden)

    listing.list_published = listed_with_all


def files_are_looked_for_last():
    """Whether a file is there is looked at when all else is right."""
    settle = triggers.settle

    def settle_in_two(pipeline, given, *, resolve, **more):
        settle(pipeline, given, resolve=lambda location: location.text, **more)
        return settle(pipeline, given, resolve=resolve, **more)

    triggers.settle = settle_in_two


def files_are_not_looked_for():
    """Any file is taken, there or not."""
    TargetOperations.resolve_location = lambda self, target, location: location.text


def text_is_read_kindly():
    """Text like `yes` is true."""
    read = settling._read

    def read_kindly(parameter, value):
        kindly = isinstance(value, RawValue) and parameter.type == "boolean" and value.lower() in ("yes", "on", "1")
        return True if kindly else read(parameter, value)

    settling._read = read_kindly


def trials_are_put_on_the_target_first():
    """The target gets what a trial runs before its parameters are looked at."""
    settle = triggers._settle
    accept = triggers._accept_trial

    def accept_blindly(context, caller, place, taken, *more):
        triggers.freezing.deliver(place, taken)
        return accept(context, caller, place, taken, *more)

    triggers._accept_trial, triggers._settle = accept_blindly, settle


def order_of_parameters_counts():
    """A request with its parameters in another order is another request."""
    _asked_with(lambda request: list(request.parameters))


def order_of_tags_counts():
    """A request with its tags in another order is another request."""
    _asked_with(lambda request: list(request.tags))


def doors_are_python():
    """Whatever door a change came through, the history says `python`."""
    _record_as(lambda caller: evolve(caller, door="python"))


def nobody_is_verified():
    """Whoever made a change, the history says that they said so themselves."""
    _record_as(lambda caller: evolve(caller, verified=False))


def history_is_ahead():
    """What the history says was two hours later."""
    add = history.record

    def record_later(tx, *arguments, **more):
        now, tx.now = tx.now, tx.now + 7_200_000_000
        add(tx, *arguments, **more)
        tx.now = now

    _record_by(record_later)


def versions_are_known_by_their_last_digit():
    """What was said of the gate of version 11 is taken for the gate of version 1."""
    gate = asof._gate

    def gate_like(tx, subject_id, when, kind, version=None):
        if version is None:
            return gate(tx, subject_id, when, kind)
        last = tx.one(
            "SELECT * FROM history WHERE subject_id = ? AND at <= ? AND kind = ? AND subject LIKE ? "
            "AND action IN ('gate_closed', 'gate_opened') ORDER BY seq DESC LIMIT 1",
            *(subject_id, when, kind, f"%{version}"),
        )
        return last if last is not None and last["action"] == "gate_closed" else None

    asof._gate = gate_like


def runs_take_up_pages_of_the_history():
    """A page of the plain history has fewer rows for each row of a run in between."""
    page = history.page

    def page_with_runs(tx, *, runs=False, subject=None, **more):
        found = page(tx, runs=runs or subject is None, subject=subject, **more)
        keep = runs or subject is not None
        return found if keep else evolve(found, items=tuple(row for row in found.items if row.kind != "run"))

    history.page = page_with_runs


def ends_are_noted_by_nobody():
    """The end of a run is in the history without who noted it."""
    for module in (handover, reports):
        module.SYSTEM = evolve(module.SYSTEM, actor="")


def trials_leave_no_row():
    """That a trial was accepted is not in the history."""
    add = acceptance.record

    def record_others(tx, *arguments, from_=None, **more):
        if from_ != "file":
            add(tx, *arguments, from_=from_, **more)

    acceptance.record = record_others


def trials_are_given_up():
    """A trial whose target is away has failed."""
    defer = Registry.defer_handover

    def defer_or_refuse(self, run_id, retry_after, message):
        defer(self, run_id, retry_after, message)
        if self.get_run(run_id).resolved_from == "file":
            self.refuse_handover(run_id, Failure(code="dispatch_failed", message=message))

    Registry.defer_handover = defer_or_refuse


def pages_of_runs_skip_one():
    """The next page of runs begins one run too late."""
    listed = listing.list_runs

    def listed_from_later(tx, **more):
        page = listed(tx, **more)
        return evolve(page, next=str(int(page.next) - 1)) if page.more else page

    listing.list_runs = listed_from_later


def refused_versions_use_up_a_number():
    """The number of a version whose move is refused is not given again."""
    add = Registry.add_version

    def add_and_count(self, name, *arguments, **more):
        try:
            return add(self, name, *arguments, **more)
        except PenstockError:
            count = "UPDATE endpoints SET next_version = next_version + 1 WHERE name = ? AND deleted IS NULL"
            self._write(lambda tx: tx.run(count, name))
            raise

    Registry.add_version = add_and_count


def _digest_of(rest):
    def digest_of(location):
        digest, total = hashlib.sha256(), 0
        for member in members.members(location):
            digest.update(f"{member.size} {rest(member)}\0".encode())
            for chunk in member.chunks:
                digest.update(chunk)
            total += member.size
        return f"sha256:{digest.hexdigest()}", total

    members.digest_of = packing.digest_of = stored.digest_of = digest_of


def _reason_as(change):
    set_gate = gates.set_gate
    gates.set_gate = lambda tx, kind, ref, *, reason="", **more: set_gate(tx, kind, ref, reason=change(reason), **more)


def _asked_with(more_of):
    asked = triggers.asked
    triggers.asked = lambda spec, request, **more: asked(spec, request, **more) + json.dumps(more_of(request))


def _record_as(change):
    add = history.record
    _record_by(lambda tx, caller, *arguments, **more: add(tx, change(caller), *arguments, **more))


def _record_by(record):
    for module in (acceptance, cancelling, endpoints, gates, handover, default_version, published, reports):
        module.record = record


CHECKS = {
    "executable_bits_are_not_in_the_digest": "any_file_counts",
    "names_of_files_are_not_in_the_digest": "any_file_counts",
    "data_is_not_in_the_digest": "any_file_counts",
    "limits_are_not_in_the_digest": "any_difference_counts",
    "publishing_again_describes_anew": "given_back",
    "adding_again_is_a_change": "versions_are_not_doubled",
    "publishing_revives_what_was_deleted": "versions_begin_at_zero",
    "refused_versions_use_up_a_number": "everybody_publishes",
    "closed_endpoints_keep_nothing": "pointed_to_stays",
    "trials_keep_nothing": "a_trial_keeps_what_it_runs",
    "trials_run_what_was_tried_first": "a_trial_runs_its_file",
    "trials_say_they_were_published": "a_trial_runs_its_file",
    "reruns_say_what_their_run_said": "rerun_repeats",
    "closing_closes_copies": "gates_of_copies",
    "reasons_are_cut": "reasons_are_whole",
    "reasons_are_lines": "reasons_are_whole",
    "pages_are_cut_before_closed_things_are_left_out": "pages_are_full",
    "hidden_counts_everything": "listings_leave_closed_out",
    "files_are_looked_for_last": "files_are_looked_for",
    "files_are_not_looked_for": "files_are_looked_for",
    "text_is_read_kindly": "text_is_read_strictly",
    "trials_are_put_on_the_target_first": "a_trial_is_checked_first",
    "order_of_parameters_counts": "the_same_in_other_words",
    "order_of_tags_counts": "the_same_in_other_words",
    "doors_are_python": "every_change_is_a_row",
    "nobody_is_verified": "every_change_is_a_row",
    "history_is_ahead": "every_change_is_a_row",
    "versions_are_known_by_their_last_digit": "the_eleventh_is_not_the_first",
    "runs_take_up_pages_of_the_history": "history_in_pages",
    "ends_are_noted_by_nobody": "runs_are_remembered",
    "trials_leave_no_row": "a_trial_runs_its_file",
    "trials_are_given_up": "a_trial_is_kept",
    "pages_of_runs_skip_one": "runs_in_pages",
}
"""The check that each fault was made for: it alone is asked, and catches it."""

FAULTS = {
    1: (
        executable_bits_are_not_in_the_digest,
        names_of_files_are_not_in_the_digest,
        data_is_not_in_the_digest,
        limits_are_not_in_the_digest,
        publishing_again_describes_anew,
    ),
    2: (adding_again_is_a_change, publishing_revives_what_was_deleted, refused_versions_use_up_a_number),
    3: (closed_endpoints_keep_nothing, trials_keep_nothing),
    4: (trials_run_what_was_tried_first, trials_say_they_were_published, reruns_say_what_their_run_said),
    5: (
        closing_closes_copies,
        reasons_are_cut,
        reasons_are_lines,
        pages_are_cut_before_closed_things_are_left_out,
        hidden_counts_everything,
    ),
    6: (
        files_are_looked_for_last,
        files_are_not_looked_for,
        text_is_read_kindly,
        trials_are_put_on_the_target_first,
    ),
    8: (order_of_parameters_counts, order_of_tags_counts),
    10: (
        doors_are_python,
        nobody_is_verified,
        history_is_ahead,
        versions_are_known_by_their_last_digit,
        runs_take_up_pages_of_the_history,
        ends_are_noted_by_nobody,
        trials_leave_no_row,
    ),
    12: (trials_are_given_up, pages_of_runs_skip_one),
}
