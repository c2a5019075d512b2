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
