"""The typed facade of one target: what comes through, and what it makes of a backend's every way to fail."""

import inspect
import re
import types
import typing
from collections.abc import Callable, Generator
from typing import Any

import pytest

from penstock.contract.artifacts import ArtifactPlace
from penstock.contract.hooks import BackendHooks, hookimpl
from penstock.contract.run import Absent, LogChunk, RunOutputs, Submission
from penstock.contract.target import Compiled, Health, Location, Problem, Publication
from penstock.errors import BackendBroken, ConfigInvalid, TargetRefused, TargetUnavailable, TargetUnsupported
from penstock.targets.calls import CAPABILITIES, HookCalls
from penstock.targets.facade import OpenTarget
from penstock.targets.manager import BACKEND_HOOKS

Make = Callable[..., types.ModuleType]
Open = Callable[..., OpenTarget]
Arguments = dict[str, tuple[Any, ...]]

METHODS = {
    "penstock_validate_pipeline": "validate",
    "penstock_compile_pipeline": "compile",
    "penstock_publish_pipeline": "publish",
    "penstock_resolve_location": "resolve_location",
    "penstock_submit_run": "submit",
    "penstock_get_run": "get_run",
    "penstock_list_runs": "list_runs",
    "penstock_get_outputs": "get_outputs",
    "penstock_fetch_artifact": "fetch_artifact",
    "penstock_locate_artifact": "locate_artifact",
    "penstock_read_logs": "read_logs",
    "penstock_cancel_run": "cancel",
    "penstock_clear_run": "clear_run",
    "penstock_sync_endpoint": "sync_endpoint",
    "penstock_retire_pipeline": "retire",
    "penstock_check_publication": "check_publication",
    "penstock_keep_secrets": "keep_secrets",
    "penstock_check_target": "check",
}


def test_every_hook_has_one_facade_method_and_every_method_a_hook() -> None:
    public = {name for name in vars(OpenTarget) if not name.startswith("_")} - {"has", "name"}
    assert set(METHODS) | {"penstock_target_options"} == set(BACKEND_HOOKS)
    assert set(METHODS.values()) == public


def test_the_facade_asks_for_what_the_hook_is_given() -> None:
    for hook, method in METHODS.items():
        expected = [name for name in inspect.signature(getattr(BackendHooks, hook)).parameters if name != "target"]
        assert list(inspect.signature(getattr(OpenTarget, method)).parameters) == expected, hook


def test_every_hook_gets_the_target_that_was_opened(
    make_backend: Make, open_target: Open, arguments: Arguments
) -> None:
    seen: dict[str, Any] = {}

    def watching(hook: str) -> object:
        # A class for each hook, so that the marker finds a function of that name.
        space: dict[str, Any] = {"seen": seen}
        exec(f"def {hook}(target):\n    seen[{hook!r}] = target\n    return (yield)", space)
        return type("Watching", (), {hook: staticmethod(hookimpl(wrapper=True)(space[hook]))})()

    opened = open_target(make_backend(), [(hook, watching(hook)) for hook in METHODS])
    for method, given in arguments.items():
        getattr(opened, method)(*given)
    assert seen == dict.fromkeys(METHODS, opened.target)


def test_mandatory_hooks_are_those_that_say_so() -> None:
    for hook in BACKEND_HOOKS:
        words = getattr(BackendHooks, hook).__doc__
        assert ("Optional" in words) == (hook in CAPABILITIES), hook
        assert ("Mandatory" in words) == (hook not in CAPABILITIES), hook


def test_the_facade_returns_what_the_hook_returns() -> None:
    for hook, method in METHODS.items():
        told = getattr(BackendHooks, hook).__annotations__["return"]
        expected = re.sub(r"^Sequence\[(\w+)\]$", r"tuple[\1, ...]", told)
        assert getattr(OpenTarget, method).__annotations__["return"] == expected, hook


def test_every_answer_comes_through(make_backend: Make, open_target: Open, arguments: Arguments) -> None:
    backend = make_backend()
    opened = open_target(backend)
    answers = {method: getattr(opened, method)(*given) for method, given in arguments.items()}
    assert HookCalls("made", backend).options_class().__name__ == "Options"
    assert opened.name == "here"
    assert answers == {
        "validate": (),
        "compile": Compiled(media_type="text/plain", data=b"compiled"),
        "publish": Publication(external="pub-1"),
        "resolve_location": "resolved:gs://bucket/a",
        "submit": Submission(external="ext-run-1"),
        "get_run": Absent(),
        "list_runs": {"run-1": Absent()},
        "get_outputs": RunOutputs(outputs={"a": "1"}),
        "fetch_artifact": True,
        "locate_artifact": ArtifactPlace("/here/model"),
        "read_logs": LogChunk(data=b"train", next_offset=12, complete=True),
        "cancel": True,
        "sync_endpoint": True,
        "retire": True,
        "clear_run": 7,
        "check_publication": ("its plan was changed",),
        "keep_secrets": True,
        "check": Health(ok=True, lines=("well",)),
    }


def test_a_list_of_runs_holds_reports_only(make_backend: Make, open_target: Open, arguments: Arguments) -> None:
    opened = open_target(make_backend(penstock_list_runs=lambda target, runs: {"run-1": "running"}))
    with pytest.raises(BackendBroken, match="with a `str` for a run"):
        opened.list_runs(*arguments["list_runs"])


@pytest.mark.parametrize("hook", sorted(set(CAPABILITIES) - {"penstock_resolve_location"}))
def test_a_missing_optional_hook_is_an_unsupported_capability(
    make_backend: Make, open_target: Open, arguments: Arguments, hook: str
) -> None:
    opened = open_target(make_backend(**{hook: None}))
    assert not opened.has(hook)
    with pytest.raises(TargetUnsupported) as caught:
        getattr(opened, METHODS[hook])(*arguments[METHODS[hook]])
    assert caught.value.code == "target_unsupported"
    assert str(caught.value) == f"backend `made` cannot {CAPABILITIES[hook]}: it has no hook `{hook}`"


def test_without_a_location_hook_uris_pass_and_local_paths_do_not(
    make_backend: Make, open_target: Open, arguments: Arguments
) -> None:
    opened = open_target(make_backend(penstock_resolve_location=None))
    assert opened.resolve_location(*arguments["resolve_location"]) == "gs://bucket/a"
    answer = opened.resolve_location(Location(parameter="images", type="file", text="./a.csv"))
    assert isinstance(answer, Problem)
    assert (answer.severity, answer.code) == ("error", "location_refused")


def test_has_knows_hooks_only(make_backend: Make, open_target: Open) -> None:
    opened = open_target(make_backend())
    assert opened.has("penstock_cancel_run")
    assert not opened.has("penstock_run_changed")
    assert not opened.has("__init__")


@pytest.mark.parametrize("hook", sorted(METHODS))
def test_no_answer_is_an_error_of_the_backend(
    make_backend: Make, open_target: Open, arguments: Arguments, hook: str
) -> None:
    backend = make_backend()
    setattr(backend, hook, hookimpl(_returning(hook, None)))
    opened = open_target(backend)
    with pytest.raises(BackendBroken) as caught:
        getattr(opened, METHODS[hook])(*arguments.get(METHODS[hook], ()))
    assert str(caught.value).startswith(f"backend `made` answered hook `{hook}` with nothing, expected ")


@pytest.mark.parametrize("hook", sorted(METHODS))
def test_a_wrong_answer_is_an_error_of_the_backend(
    make_backend: Make, open_target: Open, arguments: Arguments, hook: str
) -> None:
    backend = make_backend()
    setattr(backend, hook, hookimpl(_returning(hook, {"wrong"})))
    opened = open_target(backend)
    with pytest.raises(BackendBroken) as caught:
        getattr(opened, METHODS[hook])(*arguments.get(METHODS[hook], ()))
    assert f"hook `{hook}` with a `set`, expected `" in str(caught.value)


def _returning(hook: str, answer: Any) -> Callable[..., Any]:
    names = ", ".join(list(inspect.signature(getattr(BackendHooks, hook)).parameters)[1:])
    space: dict[str, Any] = {"answer": answer}
    exec(f"def {hook}({names}):\n    return answer", space)
    return typing.cast(Callable[..., Any], space[hook])


def test_options_are_an_attrs_class(make_backend: Make) -> None:
    hooks = HookCalls("made", make_backend(penstock_target_options=lambda: dict))
    with pytest.raises(BackendBroken, match="the class `dict`, which is not an attrs class"):
        hooks.options_class()


@pytest.mark.parametrize(("answer", "said"), [(None, "nothing"), ({"wrong"}, "a `set`")])
def test_options_that_are_no_class_are_an_error_of_the_backend(make_backend: Make, answer: Any, said: str) -> None:
    hooks = HookCalls("made", make_backend(penstock_target_options=lambda: answer))
    with pytest.raises(BackendBroken) as caught:
        hooks.options_class()
    assert (
        str(caught.value) == f"backend `made` answered hook `penstock_target_options` with {said}, expected `type[Any]`"
    )


def test_problems_are_problems(make_backend: Make, open_target: Open, arguments: Arguments) -> None:
    opened = open_target(make_backend(penstock_validate_pipeline=lambda target, pipeline: ["bad"]))
    with pytest.raises(BackendBroken, match="a list with a `str` in it"):
        opened.validate(*arguments["validate"])


class VendorError(Exception):
    """What an SDK would raise."""


def _raise(error: BaseException) -> Any:
    raise error


def test_an_exception_of_a_vendor_is_one_line_of_ours(
    make_backend: Make, open_target: Open, arguments: Arguments
) -> None:
    backend = make_backend(penstock_get_run=lambda target, run: _raise(VendorError("quota\n  at frame 1")))
    with pytest.raises(BackendBroken) as caught:
        open_target(backend).get_run(*arguments["get_run"])
    place = f"(test_open_target.py:{inspect.getsourcelines(_raise)[1] + 1})"
    assert str(caught.value) == f"backend `made` failed in hook `penstock_get_run`: VendorError: quota {place}"
    assert isinstance(caught.value.__cause__, VendorError)


def test_an_exception_without_words_still_has_a_name(
    make_backend: Make, open_target: Open, arguments: Arguments
) -> None:
    backend = make_backend(penstock_get_run=lambda target, run: _raise(VendorError()))
    with pytest.raises(BackendBroken, match=r"in hook `penstock_get_run`: VendorError \(test_\w+.py:\d+\)$"):
        open_target(backend).get_run(*arguments["get_run"])


@pytest.mark.parametrize("error", [TargetUnavailable("away", retry_after=3.0), TargetRefused("no")])
def test_our_own_errors_pass_as_they_are(
    make_backend: Make, open_target: Open, arguments: Arguments, error: Exception
) -> None:
    backend = make_backend(penstock_submit_run=lambda target, run: _raise(error))
    with pytest.raises(type(error)) as caught:
        open_target(backend).submit(*arguments["submit"])
    assert caught.value is error


def test_an_interrupt_is_not_an_error_of_the_backend(
    make_backend: Make, open_target: Open, arguments: Arguments
) -> None:
    backend = make_backend(penstock_get_run=lambda target, run: _raise(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        open_target(backend).get_run(*arguments["get_run"])


def test_a_module_missing_inside_a_hook_is_named(make_backend: Make, open_target: Open, arguments: Arguments) -> None:
    error = ModuleNotFoundError("No module named 'sdk'", name="sdk")
    backend = make_backend(penstock_get_run=lambda target, run: _raise(error))
    with pytest.raises(ConfigInvalid) as caught:
        open_target(backend).get_run(*arguments["get_run"])
    assert caught.value.code == "backend_unavailable"
    assert str(caught.value) == "Failed to load the made backend: missing module `sdk`."


def _tracing(name: str, said: list[str]) -> object:
    class Tracing:
        @hookimpl(wrapper=True)
        def penstock_get_run(self, target: Any) -> Generator[None, Any, Any]:
            said.append(f"{name} in")
            try:
                return (yield)
            finally:
                said.append(f"{name} out")

    return Tracing()


def test_wrappers_stand_around_the_backend_the_first_outermost(
    make_backend: Make, open_target: Open, arguments: Arguments
) -> None:
    said: list[str] = []
    backend = make_backend(penstock_get_run=lambda target, run: said.append("backend") or Absent())
    wrappers = [("one", _tracing("one", said)), ("two", _tracing("two", said))]
    assert open_target(backend, wrappers).get_run(*arguments["get_run"]) == Absent()
    assert said == ["one in", "two in", "backend", "two out", "one out"]


def test_a_failing_backend_is_blamed_through_its_wrappers(
    make_backend: Make, open_target: Open, arguments: Arguments
) -> None:
    backend = make_backend(penstock_get_run=lambda target, run: _raise(VendorError("quota")))
    with pytest.raises(BackendBroken, match=r"^backend `made` failed"):
        open_target(backend, [("tracing", _tracing("tracing", []))]).get_run(*arguments["get_run"])


def test_a_failing_wrapper_is_blamed_and_not_the_backend(
    make_backend: Make, open_target: Open, arguments: Arguments
) -> None:
    class Failing:
        @hookimpl(wrapper=True)
        def penstock_get_run(self) -> Generator[None, Any, Any]:
            yield
            raise VendorError("no metrics server")

    with pytest.raises(BackendBroken) as caught:
        open_target(make_backend(), [("metrics", Failing())]).get_run(*arguments["get_run"])
    said = str(caught.value).partition(" (test_open_target.py:")[0]
    assert said == "plugin `metrics` failed in hook `penstock_get_run`: VendorError: no metrics server"
    assert caught.value.code == "plugin_broken"


def test_a_wrapper_that_forgets_to_return_is_named(make_backend: Make, open_target: Open, arguments: Arguments) -> None:
    class Forgetful:
        @hookimpl(wrapper=True)
        def penstock_get_run(self) -> Generator[None, Any, None]:
            yield

    with pytest.raises(BackendBroken, match="wrapped by plugin `metrics`, which must return what `yield` gives"):
        open_target(make_backend(), [("metrics", Forgetful())]).get_run(*arguments["get_run"])
