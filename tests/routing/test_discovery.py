"""Finding by name: one is imported and no other, and what is broken hurts only whoever uses it."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from penstock.errors import BackendBroken, ConfigInvalid
from penstock.targets import discovery

Python = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(autouse=True)
def _path(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(installed))
    yield
    for name in set(sys.modules) - before:
        if name.startswith(("penstock_tiny", "penstock_odd")):
            del sys.modules[name]


def _loaded() -> set[str]:
    return {name.partition(".")[0] for name in sys.modules if name.startswith(("penstock_tiny", "penstock_odd"))}


@pytest.mark.thorough
def test_names_are_listed_with_their_distribution_and_nothing_is_imported() -> None:
    names = discovery.names("backend")
    assert names["tiny"] == "penstock-tiny 3.1"
    assert names["cracked"] == "penstock-odd 0.9"
    assert set(names["shared"].split(" and ")) == {"penstock-tiny 3.1", "penstock-odd 0.9"}
    assert names["local"].startswith("penstock ")
    assert list(names) == sorted(names)
    assert discovery.names("command") == {"cracked": "penstock-odd 0.9"}
    assert set(discovery.names("plugin")) == {"audit", "azureml_v1", "cracked", "metrics"}
    assert _loaded() == set()


@pytest.mark.thorough
def test_one_backend_is_imported_and_no_other() -> None:
    backend = discovery.load("backend", "tiny")
    assert backend.__name__ == "penstock_tiny"  # type: ignore[attr-defined]  # it is a module
    assert _loaded() == {"penstock_tiny"}


@pytest.mark.thorough
def test_a_name_that_two_distributions_bring_is_refused_naming_both() -> None:
    with pytest.raises(ConfigInvalid) as caught:
        discovery.load("backend", "shared")
    assert caught.value.code == "backend_ambiguous"
    assert "penstock-tiny 3.1" in str(caught.value)
    assert "penstock-odd 0.9" in str(caught.value)
    assert _loaded() == set()


@pytest.mark.thorough
def test_an_unknown_name_gets_a_hint() -> None:
    with pytest.raises(ConfigInvalid) as caught:
        discovery.load("backend", "tinny")
    assert caught.value.code == "backend_unknown"
    assert str(caught.value) == "there is no backend `tinny` (did you mean `tiny`?)"
    with pytest.raises(
        ConfigInvalid, match=r"there is no plugin `xyz` \(known: `audit`, `azureml_v1`, `cracked`, `metrics`\)"
    ):
        discovery.load("plugin", "xyz")


def test_a_missing_sdk_is_named_with_the_extra_that_brings_it() -> None:
    with pytest.raises(ConfigInvalid) as caught:
        discovery.load("backend", "needy")
    assert caught.value.code == "backend_unavailable"
    assert str(caught.value) == (
        "Failed to load the needy backend: missing module `sdk_that_is_not_there`. "
        "Install it with: pip install 'penstock-odd[needy]'"
    )


def test_without_such_an_extra_the_distribution_is_named() -> None:
    with pytest.raises(ConfigInvalid, match=r"Install it with: pip install penstock-odd$"):
        discovery.load("backend", "hungry")


@pytest.mark.sampled(1)
@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "cracked",
            "Failed to load the cracked backend from penstock-odd 0.9: RuntimeError: the coil is cracked",
        ),
        ("quitter", "Failed to load the quitter backend from penstock-odd 0.9: SystemExit: no licence found"),
        (
            "gone",
            "Failed to load the gone backend: ModuleNotFoundError: No module named 'penstock_odd.gone'",
        ),
        (
            "nameless",
            "Failed to load the nameless backend from penstock-odd 0.9: "
            "AttributeError: module 'penstock_odd' has no attribute 'no_such_thing'",
        ),
    ],
)
def test_a_broken_package_is_one_line(name: str, message: str) -> None:
    with pytest.raises(BackendBroken) as caught:
        discovery.load("backend", name)
    assert caught.value.code == "backend_broken"
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("kind", "broken", "unknown"),
    [
        ("plugin", "plugin_broken", "plugin_unknown"),
        ("command", "command_broken", "command_unknown"),
        ("emulator", "emulator_broken", "emulator_unknown"),
    ],
)
def test_what_is_no_backend_has_codes_of_its_own(kind: str, broken: str, unknown: str) -> None:
    with pytest.raises(BackendBroken) as caught:
        discovery.load(kind, "cracked")
    assert caught.value.code == broken
    with pytest.raises(ConfigInvalid) as missing:
        discovery.load(kind, "crackt")
    assert missing.value.code == unknown


@pytest.mark.parametrize("kind", ["plugin", "command", "emulator"])
def test_plugins_and_commands_are_refused_as_backends_are(
    kind: discovery.Kind, distribution: Callable[..., Path]
) -> None:
    group = f"penstock.{kind}s"
    distribution("penstock-tide", {group: {"tide": "tide_here:TIDE", "dry": "tide_dry"}}, tide_dry="import no_sea\n")
    distribution("penstock-ebb", {group: {"tide": "tide_there:TIDE"}})
    with pytest.raises(
        ConfigInvalid, match=r"penstock-tide 1\.0 and penstock-ebb 1\.0|ebb 1\.0 and penstock-tide"
    ) as two:
        discovery.load(kind, "tide")
    assert (
        two.value.code
        == {"plugin": "plugin_ambiguous", "command": "command_ambiguous", "emulator": "emulator_ambiguous"}[kind]
    )
    with pytest.raises(
        ConfigInvalid, match=r"missing module `no_sea`\. Install it with: pip install penstock-tide"
    ) as dry:
        discovery.load(kind, "dry")
    assert (
        dry.value.code
        == {"plugin": "plugin_unavailable", "command": "command_unavailable", "emulator": "emulator_unavailable"}[kind]
    )


def test_a_distribution_whose_metadata_is_malformed_hurts_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    nameless = tmp_path / "mangled-1.0.dist-info"
    nameless.mkdir()
    (nameless / "METADATA").write_text("Metadata-Version: 2.1\n")
    (nameless / "entry_points.txt").write_text("[penstock.backends]\nno equals sign\n")
    other = tmp_path / "unrelated-1.0.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: unrelated\nVersion: 1.0\n")
    (other / "entry_points.txt").write_text("[somebody.elses]\nno equals sign\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "tiny" in discovery.names("backend")
    assert len(caplog.records) == 1


def test_of_two_copies_of_a_distribution_the_first_on_the_path_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = tmp_path / "penstock_tiny-4.0.dist-info"
    newer.mkdir()
    (newer / "METADATA").write_text("Metadata-Version: 2.1\nName: Penstock_Tiny\nVersion: 4.0\n")
    (newer / "entry_points.txt").write_text("[penstock.backends]\ntiny = penstock_tiny\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert discovery.names("backend")["tiny"] == "Penstock_Tiny 4.0"
    assert discovery.names("backend")["shared"] == "penstock-odd 0.9"


def test_importing_discovery_is_light(python: Python) -> None:
    heavy = ("importlib.metadata", "pluggy")
    code = f"import sys, penstock.targets.discovery; print([m for m in {heavy!r} if m in sys.modules])"
    assert python("-c", code).stdout.strip() == "[]"


def test_a_stranger_is_called_like_any_other(python: Python) -> None:
    code = """
from penstock.targets.discovery import load
from penstock.targets.calls import HookCalls
hooks = HookCalls("tiny", load("backend", "tiny"))
print(hooks.options_class().__name__, hooks.has("penstock_retire_pipeline"))
"""
    done = python("-W", "error", "-c", code)
    assert done.stdout.split() == ["TinyOptions", "False"], done.stderr
