"""Records and times as JSON data."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from types import MappingProxyType

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.codec import fields_of, json_default, read_time, time_text, to_data
from penstock.errors import UsageError
from penstock.records import Gate, HistoryRecord, Page

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_a_record_is_its_attributes():
    page = Page(items=(Gate(since=NOON, by="ann"),), more=True)
    assert to_data(page) == {
        "items": [{"since": "2026-01-31T12:00:00.000000Z", "by": "ann", "reason": ""}],
        "hidden": 0,
        "more": True,
        "next": None,
    }


def test_a_trailing_underscore_is_dropped():
    record = HistoryRecord(
        seq=1, at=NOON, happened=NOON, action="default_moved", kind="endpoint", subject_id="1", subject="digits",
        from_="0", to="1", reason="", by="ann", verified=False, door="cli", request_id="2",
    )  # fmt: skip
    assert to_data(record)["from"] == "0"
    assert "from_" not in to_data(record)
    assert json.loads(json.dumps(record, default=json_default)) == to_data(record)


def test_everything_inside_becomes_plain():
    @attrs.frozen
    class Thing:
        place: Path
        inner: object

    thing = Thing(Path("/x"), MappingProxyType({"a": (1, 2.5, None, {"b": Path("c")}), "d": frozenset({2, 1})}))
    data = {"place": "/x", "inner": {"a": [1, 2.5, None, {"b": "c"}], "d": [1, 2]}}
    assert to_data(thing) == data
    assert to_data([thing]) == [data]
    assert json.loads(json.dumps(to_data(thing))) == data
    assert json.loads(json.dumps({"thing": [thing, fields_of(thing)]}, default=json_default)) == {"thing": [data, data]}
    for write in (to_data, json_default):
        with pytest.raises(TypeError):
            write(object())


@given(st.datetimes(timezones=st.just(UTC)))
def test_times_come_back(time):
    text = time_text(time)
    assert len(text) == 27
    assert text.endswith("Z")
    assert read_time(text) == time


def test_times_are_utc():
    assert time_text(datetime(2026, 1, 31, 13, tzinfo=timezone(timedelta(hours=1)))) == "2026-01-31T12:00:00.000000Z"
    assert time_text(datetime(2026, 1, 31, 12)) == "2026-01-31T12:00:00.000000Z"
    for text in (
        "2026-01-31T12:00:00Z", "2026-01-31t13:00:00.000+01:00", "2026-01-31 12:00:00.000000000z", "2026-01-31 12:00",
        "2026-01-31T12:00:00", "2026-01-31T13:00+01:00",
    ):  # fmt: skip
        assert read_time(text) == NOON
        assert read_time(text).tzinfo is UTC
    assert read_time("2026-01-31") == datetime(2026, 1, 31, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026-01-31T12",
        "2026-01-31T12:00+01",
        "2026-W05-6",
        "2026-02-31T12:00:00Z",
        "20260131T120000Z",
        "٢026-01-31T12:00:00Z",
    ],
)
def test_what_is_no_time(text):
    with pytest.raises(UsageError) as caught:
        read_time(text)
    assert caught.value.code == "time_invalid"


def test_a_listing_waits_for_neither_yaml_nor_cattrs():
    code = "import sys; from penstock.codec import to_data, read_time; print([m for m in sys.modules if m in "
    code += "('yaml', 'cattrs', 'tarfile')], 'penstock.spec' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout == "[] False\n"
