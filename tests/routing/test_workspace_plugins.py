"""Verbs inside their wrappers, and events told one plugin at a time."""

import logging
from collections.abc import Generator
from datetime import UTC, datetime
from typing import Any

import pytest

from penstock.contract.hooks import Event, VerbRequest, hookimpl
from penstock.errors import BackendBroken, GateClosed, PolicyRefused
from penstock.targets.manager import EVENT_HOOKS
from penstock.workspace.plugins import WorkspacePlugins

REQUEST = VerbRequest(
    verb="endpoint.disable", subject="digits", actor="ada", verified=False, door="python", request_id="r-1"
)
EVENT = Event(kind="default_moved", subject_id="e-1", subject="digits", at=datetime(2026, 1, 1, tzinfo=UTC))


class Wrapper:
    """Says when it is entered and left, and with what."""

    def __init__(self, name: str, said: list[str]) -> None:
        self.name = name
        self.said = said

    @hookimpl(wrapper=True)
    def penstock_execute_verb(self, request: VerbRequest) -> Generator[None, Any, Any]:
        self.said.append(f"{self.name} in {request.verb}")
        try:
            answer = yield
        except BaseException as error:
            self.said.append(f"{self.name} saw {type(error).__name__}")
            raise
        self.said.append(f"{self.name} out {answer}")
        return answer


def _raise(error: BaseException) -> Any:
    raise error


def test_without_plugins_the_workspace_answers() -> None:
    assert WorkspacePlugins().execute_verb(REQUEST, lambda: 42) == 42


def test_nothing_is_an_answer() -> None:
    assert WorkspacePlugins([("w", Wrapper("w", []))]).execute_verb(REQUEST, lambda: None) is None


def test_wrappers_stand_around_the_verb_the_first_outermost() -> None:
    said: list[str] = []
    plugins = WorkspacePlugins([("one", Wrapper("one", said)), ("two", Wrapper("two", said))])
    assert plugins.execute_verb(REQUEST, lambda: said.append("verb") or "done") == "done"
    assert said == ["one in endpoint.disable", "two in endpoint.disable", "verb", "two out done", "one out done"]


def test_a_refusal_of_the_verb_is_seen_and_passes() -> None:
    said: list[str] = []
    error = GateClosed("closed")
    with pytest.raises(GateClosed) as caught:
        WorkspacePlugins([("w", Wrapper("w", said))]).execute_verb(REQUEST, lambda: _raise(error))
    assert caught.value is error
    assert said[-1] == "w saw GateClosed"


@pytest.mark.parametrize("error", [ZeroDivisionError("core"), KeyboardInterrupt()])
def test_what_the_verb_raises_is_never_blamed_on_a_plugin(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught:
        WorkspacePlugins([("w", Wrapper("w", []))]).execute_verb(REQUEST, lambda: _raise(error))
    assert caught.value is error


class Policy:
    """Refuses every verb."""

    @hookimpl(wrapper=True)
    def penstock_execute_verb(self, request: VerbRequest) -> Generator[None, Any, Any]:
        if request.actor != "nobody":
            raise PolicyRefused(f"{request.actor} may not {request.verb}")
        return (yield)


def test_a_policy_refuses_before_anything_happens_and_outer_plugins_see_it() -> None:
    said: list[str] = []
    plugins = WorkspacePlugins([("audit", Wrapper("audit", said)), ("policy", Policy())])
    with pytest.raises(PolicyRefused, match=r"ada may not endpoint.disable"):
        plugins.execute_verb(REQUEST, lambda: said.append("verb"))
    assert said == ["audit in endpoint.disable", "audit saw PolicyRefused"]


class Failing:
    """Fails before, or after, the verb."""

    def __init__(self, early: bool) -> None:
        self.early = early

    @hookimpl(wrapper=True)
    def penstock_execute_verb(self, request: VerbRequest) -> Generator[None, Any, Any]:
        if self.early:
            raise OSError("no space left")
        yield
        raise OSError("no space left")


def test_a_plugin_that_fails_first_stops_the_verb_and_is_named() -> None:
    done: list[str] = []
    with pytest.raises(BackendBroken) as caught:
        WorkspacePlugins([("meter", Failing(early=True))]).execute_verb(REQUEST, lambda: done.append("verb"))
    assert str(caught.value) == "plugin `meter` failed in hook `penstock_execute_verb`: OSError: no space left"
    assert caught.value.code == "plugin_broken"
    assert done == []


def test_once_the_verb_happened_its_answer_stands(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "penstock"):
        assert WorkspacePlugins([("meter", Failing(early=False))]).execute_verb(REQUEST, lambda: 7) == 7
    assert "plugin `meter` failed in hook `penstock_execute_verb`: OSError: no space left" in caplog.text


class Meddler:
    """Tries to answer in place of the workspace, and to hide what it raised."""

    @hookimpl(wrapper=True)
    def penstock_execute_verb(self) -> Generator[None, Any, Any]:
        try:
            yield
        except GateClosed:
            return "fine"
        return "better"


def test_a_plugin_cannot_change_what_happened() -> None:
    plugins = WorkspacePlugins([("meddler", Meddler())])
    assert plugins.execute_verb(REQUEST, lambda: "as it is") == "as it is"
    with pytest.raises(GateClosed):
        plugins.execute_verb(REQUEST, lambda: _raise(GateClosed("closed")))


def test_a_wrapper_that_never_yields_is_broken() -> None:
    class Mute:
        @hookimpl(wrapper=True)
        def penstock_execute_verb(self, request: VerbRequest) -> Generator[None, Any, Any]:
            if request.actor == "nobody":
                yield
            return "skipped"

    with pytest.raises(BackendBroken, match="did not yield"):
        WorkspacePlugins([("mute", Mute())]).execute_verb(REQUEST, lambda: 1)


def test_verbs_may_nest() -> None:
    said: list[str] = []
    plugins = WorkspacePlugins([("w", Wrapper("w", said))])
    assert plugins.execute_verb(REQUEST, lambda: plugins.execute_verb(REQUEST, lambda: "inner")) == "inner"
    assert len(said) == 4


@pytest.mark.parametrize("hook", [hook for hook in EVENT_HOOKS if hook != "penstock_register_routes"])
def test_every_event_is_told_to_one_plugin_after_the_other(hook: str, caplog: pytest.LogCaptureFixture) -> None:
    heard: list[tuple[str, Event]] = []

    def plugin(name: str, fails: bool = False) -> object:
        def hear(event: Event) -> None:
            heard.append((name, event))
            if fails:
                raise RuntimeError("ear fell off\nand more")

        space = type(name, (), {})()
        setattr(space, hook, hookimpl(hear))
        return space

    plugins = WorkspacePlugins([("one", plugin("one")), ("two", plugin("two", True)), ("three", plugin("three"))])
    plugins.tell(hook, EVENT)
    assert heard == [("one", EVENT), ("two", EVENT), ("three", EVENT)]
    messages = [record.getMessage() for record in caplog.records]
    assert messages == [f"plugin `two` failed in hook `{hook}`: RuntimeError: ear fell off"]


def test_an_event_hook_may_ask_for_nothing() -> None:
    heard: list[str] = []

    class Bell:
        @hookimpl
        def penstock_run_changed(self) -> None:
            heard.append("ding")

    WorkspacePlugins([("bell", Bell())]).tell("penstock_run_changed", EVENT)
    assert heard == ["ding"]
