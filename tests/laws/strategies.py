"""Histories of calls, drawn: what somebody may ask next, about a few things that others ask about as well."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeAlias

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy
from laws.doors import ANYBODY
from laws.player import GUARDED, VERBS
from laws.sensitive_values import SECRETS, SHORT

Call: TypeAlias = tuple[str, dict[str, Any]]
"""A verb and its arguments, see `laws.player`."""

Arguments: TypeAlias = Mapping[str, SearchStrategy[Any]]

VARIANTS = st.sampled_from("abc")
TARGETS = st.sampled_from(["main", "other"])
LABELS = st.sampled_from([None, None, "1", "2", "x"])
ENDPOINTS = st.sampled_from(["one", "one", "one", "two"])
BEHIND = st.sampled_from(["one", "one", "two", None])
GATES = st.sampled_from(["one", "one", "one@0", "one@1", "one@2", "two", "two@0"])
VERSIONS = st.sampled_from(["0", "0", "1", "1", "2", "2", "3"])
EXPECTATIONS = st.sampled_from([None, None, None, "0", "1"])
KEYS = st.sampled_from([None, "k", "k", "l"])
DEPTHS = st.sampled_from([None, None, 1, 4, 9, 0, 12, "three", True])
REASONS = st.sampled_from(["", "no longer trusted"])
TOKENS = st.sampled_from([None, None, None, *SECRETS, SHORT])
ACCESSES = st.sampled_from(["public", "public", "private"])
WINDOWS = st.sampled_from([3600, 3600, None])
"""What calls say, likely things more often; None and "" are not said."""

_VARIANTS = st.sampled_from(f"abcdef{GUARDED}")
_BY = st.sampled_from([None, None, None, ANYBODY])
_LABELS = st.sampled_from([None, None, None, None, "1", "x"])
_PUBLISHED = st.sampled_from([*(f"probe:{label}@main" for label in "1234"), "probe:1@other", "tool:1@main"])
_NAMES = st.sampled_from([None, None, None, "tool"])
_BEHIND_WITH = {"endpoint": BEHIND, "default": st.booleans(), "expect": EXPECTATIONS}
_NONE: Arguments = {}

_ARGUMENTS: Mapping[str, Arguments] = {
    "publish": {"variant": _VARIANTS, "name": _NAMES, "label": _LABELS, "target": TARGETS, **_BEHIND_WITH},
    "publish_from": {"ref": GATES | _PUBLISHED, "name": _NAMES, "label": _LABELS, "target": TARGETS, **_BEHIND_WITH},
    "create_endpoint": {"endpoint": st.sampled_from(["two", "two", "one"]), "published": _PUBLISHED},
    "add_version": {
        "endpoint": ENDPOINTS,
        "published": _PUBLISHED,
        "default": st.booleans(),
        "expect": EXPECTATIONS,
    },
    "set_default": {"endpoint": ENDPOINTS, "version": VERSIONS, "expect": EXPECTATIONS},
    "rollback": {"endpoint": ENDPOINTS, "expect": EXPECTATIONS},
    "disable": {"ref": GATES | _PUBLISHED, "reason": REASONS},
    "enable": {"ref": GATES | _PUBLISHED},
    "access": {"endpoint": ENDPOINTS, "access": ACCESSES},
    "deduplicate": {"endpoint": ENDPOINTS, "window": WINDOWS},
    "rename": {"endpoint": ENDPOINTS, "to": st.sampled_from(["three", "one", "two"])},
    "delete_endpoint": {"endpoint": st.sampled_from(["two", "two", "one"])},
    "delete_published": {"published": _PUBLISHED},
    "submit": {"depth": DEPTHS, "token": TOKENS, "unknown": st.sampled_from([False, False, False, True]), "by": _BY},
    "rerun": {"key": KEYS, "token": TOKENS},
    "cancel": {"reason": REASONS},
    "endpoint": {"endpoint": ENDPOINTS},
    "endpoints": {"all": st.booleans()},
    "published": {"all": st.booleans()},
    "history": {"runs": st.booleans()},
    "endpoint_at": {"endpoint": ENDPOINTS},
}

_TRIGGERS: SearchStrategy[dict[str, Any]] = st.one_of(
    st.fixed_dictionaries({"ref": ENDPOINTS, "key": KEYS}),
    st.fixed_dictionaries({"ref": GATES, "key": KEYS}),
    st.fixed_dictionaries({"ref": ENDPOINTS, "version": VERSIONS, "key": KEYS}),
    # Without a key: what a key was used on is looked for among endpoints when nothing has such a label.
    st.fixed_dictionaries({"ref": _PUBLISHED}),
)

_OFTEN = {"submit": 6, "publish": 5, "set_default": 4, "rollback": 3, "disable": 4, "enable": 3, "add_version": 2}
"""How many times as likely some verbs are."""

_OF_A_RUN = ("wait", "cancel", "get", "logs", "outputs")


def said(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments without those that say nothing: None, False and empty text."""
    return {
        name: value for name, value in arguments.items() if value is not None and value is not False and value != ""
    }


def histories(
    *, verbs: Collection[str] = VERBS, least: int = 1, most: int = 12, who: str = "r"
) -> SearchStrategy[list[Call]]:
    """From `least` to `most` calls of these verbs, in the order in which one caller makes them with `Player.call`.

    They are about endpoints `one` and `two` and published pipelines `probe:1` and on, which may be there or not, by
    then, or for this caller. The runs are called `{who}1`, `{who}2` and so on: callers at the same time need a `who`
    each. No run lasts, and gates close without ending any. Raises ValueError for a verb that a player does not know,
    and for `endpoint_at` without `moment`.
    """
    unknown = sorted(set(verbs) - set(VERBS))
    if unknown:
        raise ValueError(f"no verb `{unknown[0]}`: one of {', '.join(VERBS)}")
    if "endpoint_at" in verbs and "moment" not in verbs:
        raise ValueError("what `endpoint_at` asks about is a moment that was named: it needs the verb `moment`")
    likely = [verb for verb in VERBS if verb in verbs for _ in range(_OFTEN.get(verb, 1))]
    return _calls(likely, least, most, who)


@st.composite
def _calls(draw: DrawFn, likely: Sequence[str], least: int, most: int, who: str) -> list[Call]:
    calls: list[Call] = []
    runs = moments = 0
    for _ in range(draw(st.integers(least, most))):
        verb = draw(st.sampled_from(likely))
        if verb == "endpoint_at" and not moments:
            verb = "moment"
        asked: dict[str, Any] = {}
        if verb in ("submit", "rerun"):
            asked["run"] = f"{who}{runs + 1}"
        if verb == "submit":
            asked |= draw(_TRIGGERS)
        elif verb in _OF_A_RUN or verb == "rerun":
            asked["of" if verb == "rerun" else "run"] = f"{who}{draw(st.integers(1, max(1, runs)))}"
        elif verb in ("moment", "endpoint_at"):
            moments += verb == "moment"
            asked["moment"] = f"m{moments if verb == 'moment' else draw(st.integers(1, moments))}"
        runs += verb in ("submit", "rerun")
        calls.append((verb, said({**asked, **draw(st.fixed_dictionaries({**_ARGUMENTS.get(verb, _NONE)}))})))
    return calls
