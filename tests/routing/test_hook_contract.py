"""What the managers refuse: each trap of a plugin system that would otherwise be silent."""

import functools
import types
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from typing import Any

import pluggy
import pytest
from attrs import frozen

from penstock.contract.hooks import Event, VerbRequest, hookimpl
from penstock.contract.target import Health
from penstock.errors import BackendBroken
from penstock.targets.calls import HookCalls
from penstock.workspace.plugins import WorkspacePlugins

Make = Callable[..., types.ModuleType]


def refused(backend: object, *wrappers: tuple[str, object]) -> BackendBroken:
    with pytest.raises(BackendBroken) as caught:
        HookCalls("made", backend, wrappers)
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_misspelt_hook_is_named_with_the_right_spelling(make_backend: Make) -> None:
    error = refused(make_backend(penstock_cancel_runs=lambda target, run: True))
    assert str(error) == (
        "backend `made`: there is no backend hook `penstock_cancel_runs` (did you mean `penstock_cancel_run`?)"
    )
    assert error.code == "backend_broken"


def test_a_function_without_the_marker_is_not_overlooked(make_backend: Make) -> None:
    backend = make_backend()
    for overlooked in (lambda target: None, hookimpl(functools.partial(print))):
        backend.penstock_check_target = overlooked
        message = "`penstock_check_target` is not a function marked with `@penstock.hookimpl`"
        assert message in str(refused(backend))


def test_an_argument_the_hook_does_not_have_is_named_with_both_signatures(make_backend: Make) -> None:
    error = refused(make_backend(penstock_cancel_run=lambda target, runs: True))
    assert str(error) == (
        "backend `made`: `penstock_cancel_run` asks for `runs`, which the hook does not have: "
        "it is `(target, runs)`, the hook is `(target, run)`"
    )


def _default(target: Any, run: Any = None) -> bool:
    return True


def _keyword(target: Any, *, run: Any) -> bool:
    return True


def _rest(target: Any, **rest: Any) -> bool:
    return True


def _rest_of_positions(*everything: Any) -> bool:
    return True


@pytest.mark.parametrize(
    ("hook", "argument"),
    [(_default, "run"), (_keyword, "run"), (_rest, "rest"), (_rest_of_positions, "everything")],
)
def test_defaults_keywords_and_rests_are_refused(make_backend: Make, hook: Any, argument: str) -> None:
    backend = make_backend()
    backend.penstock_cancel_run = hookimpl(hook)
    message = str(refused(backend))
    assert f"`{argument}`" in message
    assert "the hook is `(target, run)`" in message


def test_missing_mandatory_hooks_are_all_named(make_backend: Make) -> None:
    error = refused(make_backend(penstock_get_run=None, penstock_submit_run=None))
    assert str(error) == "backend `made` lacks the mandatory hooks `penstock_submit_run`, `penstock_get_run`"


def test_a_plugin_may_not_answer_an_operation(make_backend: Make) -> None:
    class Impostor:
        @hookimpl
        def penstock_get_run(self, target: Any, run: Any) -> Any:
            return None

    error = refused(make_backend(), ("impostor", Impostor()))
    assert "plugin `impostor`: `penstock_get_run` answers; plugins may wrap, never answer" in str(error)
    assert error.code == "plugin_broken"
    with pytest.raises(BackendBroken, match="never answer"):
        WorkspacePlugins([("impostor", Impostor())])


def test_a_plugin_may_not_answer_a_verb() -> None:
    class Impostor:
        @hookimpl
        def penstock_execute_verb(self, request: VerbRequest) -> Any:
            return None

    with pytest.raises(BackendBroken, match="plugins may wrap, never answer"):
        WorkspacePlugins([("impostor", Impostor())])


def test_a_backend_may_not_wrap(make_backend: Make) -> None:
    backend = make_backend()

    @hookimpl(wrapper=True)
    def penstock_cancel_run(target: Any, run: Any) -> Generator[None, bool, bool]:
        return (yield)

    backend.penstock_cancel_run = penstock_cancel_run
    assert "a backend answers, only plugins wrap" in str(refused(backend))


def test_a_backend_hears_no_events(make_backend: Make) -> None:
    error = refused(make_backend(penstock_run_changed=lambda event: None))
    assert "there is no backend hook `penstock_run_changed`" in str(error)


def test_a_wrapper_that_cannot_yield_is_refused(make_backend: Make) -> None:
    class Mute:
        @hookimpl(wrapper=True)
        def penstock_get_run(self, target: Any, run: Any) -> Any:
            return None

    assert "`penstock_get_run` is a wrapper and must `yield`" in str(refused(make_backend(), ("mute", Mute())))


def test_old_style_wrappers_are_refused(make_backend: Make) -> None:
    class Old:
        @hookimpl(hookwrapper=True)
        def penstock_get_run(self, target: Any, run: Any) -> Generator[None, Any, None]:
            yield

    assert "old-style hook wrapper" in str(refused(make_backend(), ("old", Old())))


def test_an_event_is_heard_not_wrapped() -> None:
    class Wrapper:
        @hookimpl(wrapper=True)
        def penstock_run_changed(self, event: Event) -> Generator[None, Any, Any]:
            return (yield)

    with pytest.raises(BackendBroken, match="`penstock_run_changed` is an event"):
        WorkspacePlugins([("wrapper", Wrapper())])


def test_a_misspelt_plugin_hook_is_found_by_both_managers(make_backend: Make) -> None:
    class Misspelt:
        @hookimpl
        def penstock_gate_change(self, event: Event) -> None: ...

    assert "did you mean `penstock_gate_changed`?" in str(refused(make_backend(), ("p", Misspelt())))
    with pytest.raises(BackendBroken, match="did you mean `penstock_gate_changed`"):
        WorkspacePlugins([("p", Misspelt())])


def test_a_hook_of_another_release_can_be_marked_optional(make_backend: Make) -> None:
    class Ahead:
        @hookimpl(optionalhook=True)
        def penstock_hook_of_tomorrow(self, event: Event) -> None: ...

    HookCalls("made", make_backend(), [("ahead", Ahead())])
    WorkspacePlugins([("ahead", Ahead())])


def test_a_plugin_named_twice_is_refused() -> None:
    with pytest.raises(BackendBroken, match="plugin `p` is named twice"):
        WorkspacePlugins([("p", object()), ("p", object())])


def test_a_plugin_may_be_called_like_the_backend(make_backend: Make) -> None:
    class Wrapper:
        @hookimpl(wrapper=True)
        def penstock_check_target(self, target: Any) -> Generator[None, Any, Any]:
            return (yield)

    hooks = HookCalls("made", make_backend(penstock_check_target=None), [("made", Wrapper())])
    assert not hooks.has("penstock_check_target")


def test_only_attributes_with_our_prefix_are_read(make_backend: Make) -> None:
    backend = make_backend()

    class Watched:
        def __getattr__(self, name: str) -> Any:
            return getattr(backend, name)

        def __dir__(self) -> list[str]:
            return [*dir(backend), "expensive"]

        @property
        def expensive(self) -> Any:
            raise AssertionError("read an attribute that is none of ours")

    assert HookCalls("made", Watched()).has("penstock_get_run")


def test_equal_plugins_are_two_plugins() -> None:
    heard: list[str] = []

    @frozen
    class Twin:
        size: int = 1

        @hookimpl
        def penstock_run_changed(self, event: Event) -> None:
            heard.append(event.kind)

    assert Twin() == Twin()
    plugins = WorkspacePlugins([("left", Twin()), ("right", Twin())])
    plugins.tell(
        "penstock_run_changed", Event(kind="run", subject_id="1", subject="r", at=datetime(2026, 1, 1, tzinfo=UTC))
    )
    assert heard == ["run", "run"]


def test_backends_never_answer_for_each_other(make_backend: Make) -> None:
    class Backend:
        def __init__(self, name: str) -> None:
            self.name = name
            for hook in dir(base):
                if hook.startswith("penstock_"):
                    setattr(self, hook, getattr(base, hook))

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Backend)

        def __hash__(self) -> int:
            return 1

        @hookimpl
        def penstock_check_target(self, target: Any) -> Any:
            return Health(ok=True, lines=(self.name,))

    base = make_backend(penstock_check_target=None)
    backends: list[HookCalls] = [HookCalls(name, Backend(name)) for name in ("one", "two", "three")]
    answers = [hooks.call("penstock_check_target", Health, target=None).lines for hooks in backends]
    assert answers == [("one",), ("two",), ("three",)]


def test_no_manager_is_shared(make_backend: Make) -> None:
    first, second = (HookCalls("made", make_backend())._manager for _ in range(2))
    assert isinstance(first, pluggy.PluginManager)
    assert first is not second
