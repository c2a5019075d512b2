"""The model of the kit: it takes in what penstock answers, and every answer that is altered breaks a law."""

import copy

import pytest
from laws.asked import DoorHarness, new_subject
from laws.doors import ANYBODY
from laws.machine import explore
from laws.model import Model
from laws.player import GUARDED, Player
from laws.recorder import Recorder, replay
from laws.refusals import MAIN, OTHER, Refusals
from laws.sensitive_values import SECRETS

from penstock.testing.laws import LawBroken
from penstock.testing.profiles import Profile

pytestmark = pytest.mark.doors("python")

HISTORY = [
    ("publish", {"variant": "a", "endpoint": "one"}),
    ("publish", {"variant": "b", "endpoint": "one", "by": "bob"}),
    ("publish", {"variant": "b", "target": "other", "label": "2", "endpoint": "one", "default": True, "expect": "0"}),
    ("publish", {"variant": "c", "label": "1"}),
    ("submit", {"run": "r1", "ref": "one", "depth": 4, "key": "k"}),
    ("moment", {"moment": "m1"}),
    ("set_default", {"endpoint": "one", "version": "1"}),
    ("rollback", {"endpoint": "one"}),
    ("submit", {"run": "r2", "ref": "one@1", "seconds": 600}),
    ("cancel", {"run": "r2", "reason": "enough"}),
    ("wait", {"run": "r2"}),
    ("wait", {"run": "r1"}),
    ("outputs", {"run": "r1"}),
    ("logs", {"run": "r1"}),
    ("disable", {"ref": "one", "reason": "not trusted"}),
    ("submit", {"run": "r3", "ref": "one", "depth": 12}),
    ("submit", {"run": "r3", "ref": "one", "depth": 4, "key": "k"}),
    ("submit", {"run": "r4", "ref": "one", "depth": 5, "key": "k"}),
    ("endpoints", {}),
    ("endpoints", {"all": True}),
    ("enable", {"ref": "one"}),
    ("submit", {"run": "r4", "ref": "one", "depth": 12, "unknown": True}),
    ("rename", {"endpoint": "one", "to": "two"}),
    ("endpoint_at", {"endpoint": "one", "moment": "m1"}),
    ("delete_published", {"published": "probe:1"}),
    ("runs", {}),
    ("history", {"runs": True}),
    ("access", {"endpoint": "two", "access": "public"}),
    ("submit", {"run": "r5", "ref": "two", "key": "k", "by": ANYBODY}),
    ("endpoint", {"endpoint": "two", "by": ANYBODY}),
    ("publish", {"variant": GUARDED, "endpoint": "two", "default": True}),
    ("submit", {"run": "r6", "ref": "two", "token": SECRETS[0]}),
    ("rerun", {"run": "r7", "of": "r6"}),
    ("access", {"endpoint": "two", "access": "private"}),
    ("submit", {"run": "r7", "ref": "two", "key": "k", "by": ANYBODY}),
    ("deduplicate", {"endpoint": "two", "window": 3600}),
    ("history", {}),
]


def put(value, *path):
    """A change of an answer: this value at that path."""

    def change(answer):
        for key in path[:-1]:
            answer = answer[key]
        answer[path[-1]] = value

    return change


def refuse(code, at=()):
    """A change of an answer: a refusal with this code, which says nothing."""

    def change(answer):
        answer.clear()
        answer.update(refused=code, at=list(at), message="no")

    return change


def grant(answer):
    """A change of a refusal: it is none."""
    answer.clear()


def drop_a_row(answer):
    """A change of the history: the rows of moves are not there."""
    answer["rows"] = [row for row in answer["rows"] if row["action"] != "default_moved" or row["from"] is None]


def swap_rows(answer):
    """A change of the history: the first two rows have changed their places."""
    answer["rows"][:2] = answer["rows"][1::-1]


ALTERED = [
    (1, 1, put("1", "published", "label")),
    (1, 1, put(False, "created")),
    (1, 3, grant),
    (2, 1, put("2", "version")),
    (2, 2, put(False, "added")),
    (3, 2, put("0", "endpoint", "default")),
    (3, 6, put("0", "from")),
    (3, 7, refuse("nothing_to_roll_back")),
    (3, 24, grant),
    (4, 4, put("0", "run", "version")),
    (4, 11, put("pinned", "run", "from")),
    (4, 12, put("c", "outputs", "which")),
    (5, 14, put("bob", "gate", "by")),
    (5, 15, grant),
    (5, 15, refuse("endpoint_disabled")),
    (5, 18, put(0, "hidden")),
    (5, 20, put(False, "changed")),
    (6, 15, refuse("parameter_invalid", ["$.depth"])),
    (6, 21, grant),
    (6, 21, refuse("parameter_invalid", ["$.depth"])),
    (7, 12, put(["b", "4.0"], "outputs", "args")),
    (8, 16, put("another", "run", "id")),
    (8, 16, refuse("endpoint_disabled")),
    (8, 17, grant),
    (9, 10, put("running", "run", "state")),
    (9, 11, put("canceled", "run", "state")),
    (9, 9, put(False, "requested")),
    (10, 11, put("bob", "run", "by")),
    (10, 23, put("0", "default")),
    (10, 26, drop_a_row),
    (10, 26, swap_rows),
    (11, 11, put("failed", "run", "state")),
    (11, 13, put("I am", "text")),
    (12, 11, refuse("wait_timeout")),
    (12, 25, put([], "items")),
    (13, 27, put("private", "endpoint", "access")),
    (13, 28, refuse("not_authenticated")),
    (10, 28, put(True, "run", "verified")),
    (13, 29, grant),
    (7, 31, put(SECRETS[0], "run", "parameters", "token")),
    (6, 31, refuse("parameter_invalid", ["$.token"])),
    (6, 32, grant),
    (13, 34, grant),
    (8, 35, put(None, "endpoint", "window")),
    (10, 36, drop_a_row),
]


@pytest.fixture(scope="module")
def harness(tmp_path_factory):
    """A harness on a target of this machine, for histories that are few and short."""
    folder = tmp_path_factory.mktemp("model")
    yield DoorHarness(new_subject(folder), "python", Profile(name="quick", steps=8, patience=8.0))


@pytest.fixture(scope="module")
def answers(harness):
    """What penstock answers to the history."""
    with Player(harness.subject, harness.new_registry(), spec_folder=harness.spec_folder, patience=60) as player:
        return [player.call(verb, **arguments) for verb, arguments in HISTORY]


def taken(calls, **more):
    """A model that has taken calls in."""
    model = Model(**more)
    for (verb, arguments), answer in calls:
        model.check(verb, arguments, answer)
    return model


def test_what_penstock_answers_breaks_no_law(answers):
    taken(zip(HISTORY, answers, strict=True))


@pytest.mark.parametrize(("law", "number", "change"), ALTERED)
def test_an_altered_answer_breaks_its_law(answers, law, number, change):
    model = taken(zip(HISTORY[:number], answers, strict=False))
    altered = copy.deepcopy(answers[number])
    change(altered)
    with pytest.raises(LawBroken) as caught:
        model.check(*HISTORY[number], altered)
    assert caught.value.law == law, caught.value.message


def test_a_copy_goes_on_by_itself(answers):
    calls = list(zip(HISTORY, answers, strict=True))
    model = taken(calls[:6])
    key, other = model.key(), model.copy()
    for (verb, arguments), answer in calls[6:]:
        other.check(verb, arguments, answer)
    assert model.key() == key
    assert other.key() != key
    assert hash(other.key()) == hash(taken(calls).key())


def test_calls_that_commute_lead_to_one_key_without_a_memory(answers):
    calls = list(zip(HISTORY, answers, strict=True))
    close, reopen = calls[14], calls[20]
    again = (("disable", {"ref": "probe:1"}), {**close[1], "subject_id": answers[0]["published"]["id"]})
    again[1]["gate"] = {**close[1]["gate"], "reason": ""}
    assert reopen[0] == ("enable", {"ref": "one"})
    start = [call for call in calls[:14] if call[0][0] != "moment"]
    one, two = taken([*start, close, again], remember=False), taken([*start, again, close], remember=False)
    assert one.key() == two.key()
    with pytest.raises(ValueError, match="memory"):
        one.check("history", {}, {"rows": []})


def test_the_seed_decides_the_histories(harness, monkeypatch):
    played, close = [], Recorder.close

    def closed(recorder):
        played[-1].append(recorder.history)
        close(recorder)

    monkeypatch.setattr(Recorder, "close", closed)
    for seed in (1, 1, 2):
        played.append([])
        harness.seed = seed
        assert explore(harness, 4, Refusals(MAIN, OTHER)) is None
    assert played[0] == played[1] != played[2]


def test_a_key_outlives_the_published_pipeline_it_was_used_on(harness):
    trigger = {"ref": "probe:1", "key": "k"}
    history = [
        ("publish", {"variant": "a"}),
        ("submit", {"run": "r1", **trigger}),
        ("wait", {"run": "r1"}),
        ("delete_published", {"published": "probe:1"}),
        ("submit", {"run": "r2", **trigger}),
        ("submit", {"run": "r3", **trigger, "depth": 5}),
        ("rerun", {"run": "r4", "of": "r1"}),
    ]
    assert replay(harness, history) is None
