"""JSON as callers send it: what is wrong is said in one sentence, with its place."""

import pytest

from penstock.codec import read_json
from penstock.errors import UsageError


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'{"param', "Unterminated string starting at line 1, column 2"),
        (b'{"a" 1}', "Expecting ':' delimiter at line 1, column 6"),
    ],
)
def test_where_it_breaks_off_is_a_sentence(body: bytes, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_json(body)
    assert caught.value.code == "json_invalid"
    assert str(caught.value) == f"the body is not JSON: {says}"


@pytest.mark.parametrize(("opens", "closes"), [("[", "]"), ('{"a":', "}")])
def test_what_is_nested_deeper_than_a_hundred_levels_is_refused(opens: str, closes: str) -> None:
    """A value counts as a level of its own; how much there is side by side does not matter."""

    def nested(levels: int) -> bytes:
        return f"{opens * (levels - 1)}1{closes * (levels - 1)}".encode()

    for fine in (nested(100), b"[" + b",".join([nested(99)] * 50) + b"]"):
        read_json(fine)
    for deep in (nested(101), b"[" + b",".join([nested(3), nested(100)]) + b"]"):
        with pytest.raises(UsageError, match="nested deeper than 100 levels") as caught:
            read_json(deep)
        assert caught.value.code == "json_invalid"
