"""Opening targets: each once, a publication's place with the options that it froze and the others as they are now."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penstock.config import load_config
from penstock.errors import BackendBroken, ConfigInvalid, Conflict
from penstock.records import Placement
from penstock.targets import discovery
from penstock.targets.opened import OpenTargets

# One option says which place it is, one is frozen by a publication, one is neither.
BACKEND = """
from attrs import field, frozen
import penstock


@frozen
class Options:
    project: str = field(metadata={"identity": True})
    machine: str = field(default="small", metadata={"frozen": True})
    slots: int = 1


@penstock.hookimpl
def penstock_target_options():
    return Options
"""
REST = "".join(
    f"\n\n@penstock.hookimpl\ndef {hook}():\n    raise RuntimeError\n"
    for hook in (
        "penstock_validate_pipeline",
        "penstock_compile_pipeline",
        "penstock_publish_pipeline",
        "penstock_submit_run",
        "penstock_get_run",
        "penstock_get_outputs",
    )
)

Configured = Callable[..., OpenTargets]


@pytest.fixture
def configured(tmp_path: Path, distribution: Callable[..., Path]) -> Configured:
    """Targets as configured now: `configured(prod="project: acme")`."""
    distribution("penstock-three", {"penstock.backends": {"three": "three_options"}}, three_options=BACKEND + REST)

    def write(**targets: str) -> OpenTargets:
        lines = [f"  {name}: {{backend: three, {options}}}\n" for name, options in targets.items()]
        (tmp_path / "penstock.yaml").write_text(f"target: {next(iter(targets))}\ntargets:\n{''.join(lines)}")
        return OpenTargets(load_config(tmp_path, env={}))

    return write


def test_a_target_is_opened_once_and_knows_what_a_publication_freezes(configured: Configured) -> None:
    targets = configured(prod="project: acme, machine: large, slots: 2", spare="project: acme")
    prod = targets.open("prod")
    assert targets.open() is targets.open("prod") is prod
    assert prod.placement == Placement(
        target="prod",
        backend="three",
        identity='{"backend":"three","project":"acme"}',
        options='{"machine":"large"}',
    )
    assert targets.open_frozen(prod.placement) is prod
    assert targets.open("spare").placement.identity == prod.placement.identity
    assert targets.open("spare") is not prod


def test_an_option_that_is_neither_takes_effect_at_once(configured: Configured) -> None:
    published = configured(prod="project: acme, slots: 2").open().placement
    later = configured(prod="project: acme, slots: 9").open_frozen(published)
    assert later.target.options.slots == 9
    assert later.placement == published


def test_a_frozen_option_stays_for_what_was_published_and_changes_for_what_is_published_now(
    configured: Configured,
) -> None:
    published = configured(prod="project: acme, machine: small, slots: 2").open().placement
    targets = configured(prod="project: acme, machine: large, slots: 9")
    kept = targets.open_frozen(published)
    assert (kept.target.options.machine, kept.target.options.slots) == ("small", 9)
    assert kept.placement == published
    assert targets.open_frozen(published) is kept
    assert targets.open().target.options.machine == "large"
    assert targets.open().placement.identity == published.identity


def test_an_identifying_option_makes_another_place_which_is_refused(configured: Configured) -> None:
    published = configured(prod="project: acme").open().placement
    with pytest.raises(Conflict, match="`project` was `acme` and is `other`") as refused:
        configured(prod="project: other").open_frozen(published)
    assert refused.value.code == "target_changed"


def test_a_target_that_is_gone_is_named(configured: Configured) -> None:
    published = configured(prod="project: acme").open().placement
    with pytest.raises(ConfigInvalid, match="there is no target `prod`") as refused:
        configured(renamed="project: acme").open_frozen(published)
    assert refused.value.code == "target_unknown"


def test_threads_that_open_at_once_load_the_backend_once(
    configured: Configured, monkeypatch: pytest.MonkeyPatch
) -> None:
    targets = configured(prod="project: acme")
    loaded: list[str] = []
    load = discovery.load

    def counting(kind: discovery.Kind, name: str, *place: Any) -> object:
        loaded.append(name)
        return load(kind, name, *place)

    monkeypatch.setattr(discovery, "load", counting)
    opened: list[object] = []
    meet = threading.Barrier(16)

    def work() -> None:
        meet.wait(10)
        opened.append(targets.open("prod"))

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert loaded == ["three"]
    assert len({id(one) for one in opened}) == 1
    assert len(opened) == 16


def test_a_backend_that_breaks_the_contract_is_said_each_time(
    configured: Configured, distribution: Callable[..., Path]
) -> None:
    distribution("penstock-bare", {"penstock.backends": {"bare": "bare_options"}}, bare_options=BACKEND)
    targets = configured(prod="project: acme")
    folder = targets._config.base
    (folder / "penstock.yaml").write_text("targets: {prod: {backend: bare, project: acme}}\n")
    targets = OpenTargets(load_config(folder, env={}))
    for _ in range(2):
        with pytest.raises(BackendBroken, match="lacks the mandatory hooks"):
            targets.open()
