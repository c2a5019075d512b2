"""Options become what a backend or plugin declared, and a target's identity does not depend on where it is used."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import field, frozen, validators

from penstock.config import build_plugin, build_target, frozen_options, identity_of, load_config
from penstock.contract.target import Target
from penstock.errors import BackendBroken, ConfigInvalid
from penstock.spec.quantity import seconds_of
from penstock_audit.hooks import Audit


@frozen(kw_only=True)
class Options:
    """Options with every trait that matters here."""

    project: str = field(metadata={"identity": True})
    location: str = field(default="eu", metadata={"identity": True})
    root: Path | None = field(default=None, metadata={"identity": True})
    labels: tuple[str, ...] = field(factory=tuple, metadata={"identity": True})
    machine: str = field(default="small", metadata={"frozen": True})
    mounts: tuple[Path, ...] = field(default=(), metadata={"frozen": True})
    patience: float = field(default=60.0, converter=seconds_of, metadata={"frozen": True})
    data_roots: tuple[Path, ...] = ()
    cache: Path = Path("cache")
    slots: int | None = field(default=None, validator=validators.optional(validators.ge(1)))
    idle: float = field(default=10.0, converter=seconds_of)


Write = Callable[[str], Path]


def build(folder: Path, **env: str) -> Any:
    return build_target(load_config(folder, env=env), "here", Options)


def target(options: str) -> str:
    return f"targets:\n  here: {{backend: made, {options}}}\n"


def test_a_target_is_built_with_its_options(write: Write) -> None:
    folder = write(target("project: acme, root: ./r, data_roots: [data, /srv/data, ~/d], idle: 2m"))
    built = build(folder, PENSTOCK_TARGETS_HERE_SLOTS="3")
    assert isinstance(built, Target)
    assert (built.name, built.backend, built.home) == ("here", "made", folder / ".penstock")
    assert built.options == Options(
        project="acme",
        root=folder / "r",
        data_roots=(folder / "data", Path("/srv/data"), Path("~/d").expanduser()),
        cache=folder / "cache",
        slots=3,
        idle=120.0,
    )


def test_everything_wrong_with_the_options_comes_at_once_with_its_place(write: Write) -> None:
    folder = write(target("projet: acme, location: 7, data_roots: [a, 2]"))
    with pytest.raises(ConfigInvalid) as caught:
        build(folder, PENSTOCK_TARGETS_HERE_SLOTS="0", PENSTOCK_TARGETS_HERE_IDLE="long")
    found = {detail.code + "@" + detail.where: detail for detail in caught.value.details}
    assert set(found) == {
        "missing_key@penstock.yaml:2:3",
        "unknown_key@penstock.yaml:2:25",
        "type_mismatch@penstock.yaml:2:49",
        "type_mismatch@penstock.yaml:2:68",
        "value_invalid@PENSTOCK_TARGETS_HERE_SLOTS",
        "value_invalid@PENSTOCK_TARGETS_HERE_IDLE",
    }
    assert found["unknown_key@penstock.yaml:2:25"].hint == "did you mean `project`?"
    assert found["type_mismatch@penstock.yaml:2:68"].path == ("targets", "here", "data_roots", 1)


def test_one_problem_is_the_whole_message(write: Write) -> None:
    folder = write(target("project: acme, slotz: 2"))
    with pytest.raises(ConfigInvalid) as caught:
        build(folder)
    assert str(caught.value) == (
        "penstock.yaml:2:40: $.targets.here.slotz: unknown key `slotz` (did you mean `slots`?)"
    )


def test_identity_is_the_backend_and_what_it_marked_without_defaults(write: Write) -> None:
    folder = write(target("project: acme, location: eu, slots: 2"))
    assert identity_of(build(folder)) == '{"backend":"made","project":"acme"}'
    assert identity_of(build(folder, PENSTOCK_TARGETS_HERE_LOCATION="us", PENSTOCK_TARGETS_HERE_SLOTS="9")) == (
        '{"backend":"made","location":"us","project":"acme"}'
    )


def test_moving_the_project_changes_neither_identity_nor_options(write: Write, tmp_path: Path) -> None:
    folder = write(target("project: acme, root: ./state, data_roots: [../data], mounts: [./disks, /mnt]"))
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    shutil.copy(folder / "penstock.yaml", moved)
    before, after = build(folder), build(moved)
    assert before.options.root != after.options.root
    assert identity_of(before) == identity_of(after) == '{"backend":"made","project":"acme","root":"state"}'
    assert before.options.mounts != after.options.mounts
    assert frozen_options(before) == frozen_options(after)
    assert frozen_options(before) == '{"machine":"small","mounts":["disks","/mnt"],"patience":60.0}'


def test_only_what_is_marked_is_frozen_defaults_included(write: Write) -> None:
    folder = write(target("project: acme, machine: large, slots: 3"))
    assert frozen_options(build(folder)) == '{"machine":"large","mounts":[],"patience":60.0}'
    same = build(
        folder, PENSTOCK_TARGETS_HERE_SLOTS="9", PENSTOCK_TARGETS_HERE_IDLE="1m", PENSTOCK_TARGETS_HERE_CACHE="c"
    )
    assert frozen_options(same) == frozen_options(build(folder))
    assert (same.options.slots, same.options.idle, same.options.cache) == (9, 60.0, folder / "c")
    assert frozen_options(build(folder, PENSTOCK_TARGETS_HERE_MACHINE="tiny")) != frozen_options(same)


def test_what_was_frozen_wins_over_what_is_configured_and_the_rest_takes_effect_at_once(write: Write) -> None:
    folder = write(target("project: acme, machine: small, mounts: [./disks], slots: 1"))
    frozen = frozen_options(build(folder))
    write(target("project: acme, machine: large, mounts: [./others], patience: 2m, slots: 8, idle: 1m"))
    config = load_config(folder, env={})
    kept = build_target(config, "here", Options, frozen=frozen)
    assert (kept.options.machine, kept.options.mounts, kept.options.patience) == ("small", (folder / "disks",), 60.0)
    assert (kept.options.slots, kept.options.idle) == (8, 60.0)
    assert (frozen_options(kept), identity_of(kept)) == (frozen, identity_of(build(folder)))
    now = build(folder)
    assert (now.options.machine, now.options.mounts, now.options.patience) == ("large", (folder / "others",), 120.0)
    for nothing in ("", "{}"):
        assert build_target(config, "here", Options, frozen=nothing) == now


def test_what_was_frozen_and_no_option_any_more_is_said(write: Write) -> None:
    config = load_config(write(target("project: acme")), env={})
    with pytest.raises(ConfigInvalid, match="machin"):
        build_target(config, "here", Options, frozen='{"machin":"large"}')


def test_a_plugin_is_made_from_its_options(write: Write) -> None:
    folder = write("plugins: {audit: {file: logs/who.jsonl}, other: {}}\n")
    config = load_config(folder, env={})
    assert config.plugins.value == ("audit", "other")
    assert build_plugin(config, "audit", Audit) == Audit(home=folder / ".penstock", file=folder / "logs" / "who.jsonl")
    write("plugins: [audit]\n")
    assert build_plugin(load_config(folder, env={}), "audit", Audit) == Audit(home=folder / ".penstock")


def test_a_plugin_needs_no_home(write: Write) -> None:
    @frozen
    class Plain:
        """A plugin that keeps nothing."""

        level: int = 1

    config = load_config(write("plugins: {plain: {level: 2}}\n"), env={})
    assert build_plugin(config, "plain", Plain) == Plain(level=2)


def test_wrong_plugin_options_are_said_with_their_place(write: Write) -> None:
    folder = write("plugins: {audit: {fil: x}}\n")
    with pytest.raises(ConfigInvalid) as caught:
        build_plugin(load_config(folder, env={}), "audit", Audit)
    assert str(caught.value).startswith("penstock.yaml:1:19: $.plugins.audit.fil: unknown key `fil` (did you mean ")
    write("plugins: {audit: {home: x}}\n")
    with pytest.raises(ConfigInvalid, match="`home` is not an option of plugin `audit`"):
        build_plugin(load_config(folder, env={}), "audit", Audit)


def test_a_plugin_that_is_no_attrs_class_is_broken(write: Write) -> None:
    config = load_config(write("plugins: [audit]\n"), env={})
    with pytest.raises(BackendBroken) as caught:
        build_plugin(config, "audit", object())
    assert caught.value.code == "plugin_broken"
