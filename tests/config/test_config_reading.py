"""Where configuration comes from, which voice wins, and how each problem is said."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock import codec
from penstock.config import (
    Config,
    Setting,
    WorkspaceDocument,
    find_config,
    load_config,
    target_config,
    workspace_schema,
)
from penstock.config.reading import _is_plain
from penstock.errors import ConfigInvalid, SpecInvalid, UsageError

DESIGN = """\
registry: .penstock/registry.db
target: laptop
targets:
  laptop: {backend: local}
  prod:   {backend: vertex, project: acme, location: us-central1}
  azure-eu:
    backend: azureml
    compute: cpu-cluster
plugins: [audit]
"""

Write = Callable[[str], Path]


def refused(folder: Path, **more: Any) -> ConfigInvalid:
    with pytest.raises(ConfigInvalid) as caught:
        load_config(folder, env=more.pop("env", {}), **more)
    assert "\n" not in str(caught.value)
    return caught.value


def test_with_nothing_configured_there_is_one_local_target(tmp_path: Path) -> None:
    config = load_config(tmp_path, env={})
    assert config == Config(
        file=None,
        base=tmp_path,
        home=tmp_path / ".penstock",
        registry=Setting(tmp_path / ".penstock" / "registry.db", "default"),
        target=Setting("local", "default"),
        targets={"local": target_config(config, "local")},
        plugins=Setting((), "default"),
        plugin_options={},
    )
    assert target_config(config, "local").backend == Setting("local", "default")
    assert list(tmp_path.iterdir()) == []


def test_every_value_of_the_file_has_its_place(write: Write) -> None:
    folder = write(DESIGN)
    config = load_config(folder, env={})
    assert config.file == folder / "penstock.yaml"
    assert config.registry == Setting(folder / ".penstock" / "registry.db", "penstock.yaml:1:11")
    assert config.home == folder / ".penstock"
    assert config.target == Setting("laptop", "penstock.yaml:2:9")
    assert list(config.targets) == ["laptop", "prod", "azure-eu"]
    prod = target_config(config, "prod")
    assert prod.backend == Setting("vertex", "penstock.yaml:5:21")
    assert prod.options == {
        "project": Setting("acme", "penstock.yaml:5:38"),
        "location": Setting("us-central1", "penstock.yaml:5:54"),
    }
    assert config.plugins == Setting(("audit",), "penstock.yaml:9:10")


def test_the_file_is_found_upward_and_the_nearest_wins(write: Write) -> None:
    folder = write("target: local\n")
    deep = folder / "a" / "b"
    deep.mkdir(parents=True)
    assert find_config(deep) == folder / "penstock.yaml"
    assert load_config(deep, env={}).home == folder / ".penstock"
    (folder / "a" / "penstock.yaml").write_text("")
    assert find_config(deep) == folder / "a" / "penstock.yaml"
    (deep / "penstock.yaml").mkdir()
    assert find_config(deep) == folder / "a" / "penstock.yaml"


@pytest.mark.parametrize(
    ("plant", "said"),
    [
        (lambda file: file.symlink_to("nowhere"), "is a link that leads to nothing"),
        (lambda file: file.symlink_to(file.name), "Too many levels of symbolic links"),
        (lambda file: file.symlink_to("/dev"), "Is a directory"),
        (lambda file: file.symlink_to("/dev/zero"), "is larger than 1,000,000 bytes"),
        (os.mkfifo, "named pipe"),
    ],
    ids=["nothing", "loop", "folder", "device", "pipe"],
)
def test_a_file_that_cannot_be_read_is_not_passed_over(tmp_path: Path, plant: Callable, said: str) -> None:
    (tmp_path / "penstock.yaml").write_text("")
    (tmp_path / "a").mkdir()
    plant(tmp_path / "a" / "penstock.yaml")
    with pytest.raises(ConfigInvalid, match=said):
        load_config(tmp_path / "a", env={})


@pytest.mark.parametrize("registry", ["/", "//", "a\0b", "~/a\0b"])
def test_a_registry_that_no_file_can_be_is_told(tmp_path: Path, registry: str) -> None:
    with pytest.raises(ConfigInvalid, match=r"is no (file|path)"):
        load_config(tmp_path, env={}, flags={"registry": registry})
    (tmp_path / "penstock.yaml").write_text(json.dumps({"registry": registry}))
    with pytest.raises(ConfigInvalid, match=r"is no (file|path)"):
        load_config(tmp_path, env={})


def test_places_are_as_short_as_they_can_be(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(DESIGN)
    (folder / "sub").mkdir()
    monkeypatch.chdir(folder / "sub")
    assert load_config(env={}).target.origin == "../penstock.yaml:2:9"


def test_later_voices_win(write: Write) -> None:
    folder = write(DESIGN)
    env = {
        "PENSTOCK_TARGET": "prod",
        "PENSTOCK_REGISTRY": "other/r.db",
        "PENSTOCK_PLUGINS": "trace, audit,",
        "PENSTOCK_TARGETS_PROD_PROJECT": "acme-test",
        "PENSTOCK_TARGETS_AZURE_EU_BACKEND": "local",
        "PENSTOCK_TARGETS_AZURE_EU_PASS_ENV": "[A, B]",
        "PENSTOCK_TARGETS_LAPTOP_SLOTS": "4",
        "PENSTOCK_TARGETS_LAPTOP_STRICT": "true",
        "PENSTOCK_TARGETS_LAPTOP_ROOT": "",
        "PENSTOCK_ACTOR": "ada",
        "PENSTOCK_ENGINE_LOG": "x",
    }
    config = load_config(folder, env=env)
    assert config.target == Setting("prod", "PENSTOCK_TARGET")
    assert config.registry == Setting(folder / "other" / "r.db", "PENSTOCK_REGISTRY")
    assert config.home == folder / "other" / ".penstock"
    assert config.plugins == Setting(("trace", "audit"), "PENSTOCK_PLUGINS")
    assert config.targets["prod"].options["project"] == Setting("acme-test", "PENSTOCK_TARGETS_PROD_PROJECT")
    assert config.targets["prod"].options["location"].origin == "penstock.yaml:5:54"
    assert config.targets["azure-eu"].backend == Setting("local", "PENSTOCK_TARGETS_AZURE_EU_BACKEND")
    assert config.targets["azure-eu"].options["pass_env"].value == ["A", "B"]
    assert {key: option.value for key, option in config.targets["laptop"].options.items()} == {
        "root": "",
        "slots": 4,
        "strict": True,
    }
    flags = {"target": "azure-eu", "registry": "/srv/r.db", "plugins": "audit"}
    config = load_config(folder, env=env, flags=flags)
    assert config.target == Setting("azure-eu", "--target")
    assert config.registry == Setting(Path("/srv/r.db"), "--registry")
    assert config.plugins == Setting(("audit",), "--plugins")


def test_empty_variables_and_flags_say_nothing(write: Write) -> None:
    folder = write(DESIGN)
    config = load_config(folder, env={"PENSTOCK_TARGET": "", "PENSTOCK_CONFIG": ""}, flags={"registry": ""})
    assert config.target.origin == "penstock.yaml:2:9"
    assert config.registry.origin == "penstock.yaml:1:11"


def test_the_process_environment_is_read_unless_one_is_given(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(DESIGN)
    monkeypatch.setenv("PENSTOCK_TARGET", "prod")
    assert load_config(folder).target.value == "prod"
    assert load_config(folder, env={}).target.value == "laptop"


def test_the_file_can_be_named(write: Write, tmp_path: Path) -> None:
    folder = write(DESIGN)
    other = folder / "conf" / "mine.yaml"
    other.parent.mkdir()
    other.write_text("registry: r.db\ntargets: {only: {backend: local}}\n")
    for config in (
        load_config(folder, env={"PENSTOCK_CONFIG": "conf/mine.yaml"}),
        load_config(folder, env={"PENSTOCK_CONFIG": "nowhere.yaml"}, file=other),
    ):
        assert config.file == other
        assert config.registry.value == other.parent / "r.db"
        assert config.home == other.parent / ".penstock"
        assert config.target == Setting("only", "default")


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "{}\n"])
def test_an_empty_file_configures_nothing_and_marks_the_folder(write: Write, text: str) -> None:
    folder = write(text)
    config = load_config(folder, env={})
    assert config.file == folder / "penstock.yaml"
    assert config.target == Setting("local", "default")


def test_one_registry_has_one_home_wherever_it_is_used_from(tmp_path: Path) -> None:
    registry = tmp_path / "shared" / ".penstock" / "registry.db"
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        config = load_config(tmp_path / name, env={"PENSTOCK_REGISTRY": str(registry)})
        assert config.home == registry.parent


def test_a_home_that_is_a_link_stays_where_it_was_put(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / ".penstock").symlink_to(tmp_path / "state")
    assert load_config(tmp_path, env={}).home == tmp_path / ".penstock"


def test_a_path_may_start_at_home(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write("registry: ~/p/registry.db\n")
    monkeypatch.setenv("HOME", "/home/ada")
    assert load_config(folder, env={}).registry.value == Path("/home/ada/p/registry.db")
    write("registry: ~no-such-user-here/registry.db\n")
    assert "the home of a user who does not exist" in str(refused(folder))


def test_an_unknown_default_target_gets_a_hint(write: Write) -> None:
    folder = write(DESIGN.replace("target: laptop", "target: labtop"))
    error = refused(folder)
    assert error.code == "target_unknown"
    assert str(error) == "penstock.yaml:2:9: $.target: there is no target `labtop` (did you mean `laptop`?)"
    error = refused(folder, flags={"target": "nope"})
    assert str(error).startswith("--target: there is no target `nope` (known: `azure-eu`, ")


def test_several_targets_need_a_default(write: Write) -> None:
    folder = write("targets: {a: {backend: local}, b: {backend: local}}\n")
    error = refused(folder)
    assert error.code == "target_missing"
    assert "add `target: a`" in str(error)
    assert load_config(folder, env={}, flags={"target": "b"}).target.value == "b"


def test_all_problems_come_at_once(write: Write) -> None:
    folder = write("target: labtop\ntargets:\n  laptop: {slots: 2}\n  desk: {backend: 7}\n  a b: {backend: local}\n")
    error = refused(folder, env={"PENSTOCK_TARGETS_LABTOP_SLOTS": "2", "PENSTOCK_TARGETS_LAPTOP_N": "[}"})
    assert error.code == "config_invalid"
    assert str(error).startswith("penstock.yaml: ")
    assert [(detail.code, detail.where) for detail in error.details if detail.code != "yaml_syntax"] == [
        ("target_unknown", "PENSTOCK_TARGETS_LABTOP_SLOTS"),
        ("missing_key", "penstock.yaml:3:11"),
        ("type_mismatch", "penstock.yaml:4:19"),
        ("name_invalid", "penstock.yaml:5:8"),
        ("target_unknown", "penstock.yaml:1:9"),
    ]
    (syntax,) = [detail for detail in error.details if detail.code == "yaml_syntax"]
    assert syntax.where.startswith("PENSTOCK_TARGETS_LAPTOP_N:1:")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tragets: {}\n", "penstock.yaml:1:1: $.tragets: unknown key `tragets` (did you mean `targets`?)"),
        ("registry: 7\n", "penstock.yaml:1:11: $.registry: expected string"),
        ("targets:\n  laptop: local\n", "penstock.yaml:2:11: $.targets.laptop: expected object"),
        ("plugins: audit\n", "penstock.yaml:1:10: $.plugins: expected list or object"),
        (
            "plugins: {audit: , b: {}}\n",
            "penstock.yaml:1:18: $.plugins.audit: expected object, got nothing (write `aud",
        ),
        (
            "plugins: {audit: true}\n",
            "penstock.yaml:1:18: $.plugins.audit: expected object, got boolean `true` (write `audit: {}` unless it",
        ),
        (
            "plugins: [audit, {b: {c: 1}}]\n",
            "penstock.yaml:1:18: $.plugins[1]: expected string, got object (write `[audit, metrics]`, or with "
            "options of any `{audit: {}, metrics: {open: true}}`)",
        ),
        ("- a\n", "penstock.yaml:1:1: expected object, got list"),
        ("target: a\ntarget: b\n", "penstock.yaml:2:1: $.target: the key `target` is there already, at 1:1"),
        ("targets:\n\tlaptop: {}\n", "penstock.yaml:2:1: $.targets: a tab cannot indent YAML (use spaces)"),
    ],
)
def test_a_broken_file_is_one_line_with_its_place(write: Write, text: str, message: str) -> None:
    folder = write(text)
    assert str(refused(folder)).startswith(message)


def test_a_file_that_cannot_be_read_is_one_line(write: Write, tmp_path: Path) -> None:
    folder = write("")
    (folder / "penstock.yaml").write_bytes(b"target: \xff\n")
    error = refused(folder)
    assert (str(error), error.code) == ("penstock.yaml is not UTF-8 text", "document_not_utf8")
    error = refused(folder, file=folder / "none.yaml")
    assert (str(error), error.code) == ("there is no configuration file none.yaml", "file_not_found")
    error = refused(folder, file=folder)
    assert (str(error).endswith("cannot be read: Is a directory"), error.code) == (True, "file_unreadable")


def test_the_current_folder_may_be_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    try:
        with pytest.raises(UsageError, match="the current folder does not exist any more"):
            load_config(env={})
    finally:
        os.chdir(tmp_path)


def test_variables_name_the_longest_target_they_can(write: Write) -> None:
    folder = write("target: a\ntargets: {a: {backend: local}, a-b: {backend: local}}\n")
    config = load_config(folder, env={"PENSTOCK_TARGETS_A_B_C": "1", "PENSTOCK_TARGETS_A_X_Y": "2"})
    assert {name: dict(found.options) for name, found in config.targets.items()} == {
        "a": {"x_y": Setting(2, "PENSTOCK_TARGETS_A_X_Y")},
        "a-b": {"c": Setting(1, "PENSTOCK_TARGETS_A_B_C")},
    }


def test_a_variable_that_fits_two_targets_equally_is_an_error(write: Write) -> None:
    folder = write("target: a-b\ntargets: {a-b: {backend: local}, a_b: {backend: local}}\n")
    assert load_config(folder, env={}).target.value == "a-b"
    message = "PENSTOCK_TARGETS_A_B_C: the variable cannot tell the targets `a-b` and `a_b` apart (use other names)"
    assert str(refused(folder, env={"PENSTOCK_TARGETS_A_B_C": "1"})) == message


def test_a_variable_without_an_option_is_an_error(write: Write) -> None:
    error = refused(write(DESIGN), env={"PENSTOCK_TARGETS_LAPTOP": "local"})
    assert error.code == "target_unknown"
    assert str(error).startswith("PENSTOCK_TARGETS_LAPTOP: the variable names no option of a target (did you mean ")


def test_variables_work_on_the_target_that_needs_no_file(tmp_path: Path) -> None:
    config = load_config(tmp_path, env={"PENSTOCK_TARGETS_LOCAL_SLOTS": "0x10"})
    assert config.targets["local"].options == {"slots": Setting(16, "PENSTOCK_TARGETS_LOCAL_SLOTS")}
    assert refused(tmp_path, env={"PENSTOCK_TARGETS_LOCAL_SLOTS": "9" * 5000}).code == "value_invalid"


def test_target_config_knows_what_there_is(write: Write) -> None:
    config = load_config(write(DESIGN), env={})
    with pytest.raises(ConfigInvalid) as caught:
        target_config(config, "prot")
    assert caught.value.code == "target_unknown"
    assert str(caught.value) == "there is no target `prot` (did you mean `prod`?)"


plain = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
anything = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
near = st.fixed_dictionaries(
    {},
    optional={
        "registry": plain,
        "target": plain,
        "targets": st.dictionaries(st.text(max_size=5), anything, max_size=3) | plain,
        "plugins": st.lists(plain, max_size=3) | anything,
        "other": plain,
    },
)
simple = st.fixed_dictionaries(
    {},
    optional={
        "registry": st.text(max_size=5),
        "target": st.text(max_size=5),
        "targets": st.dictionaries(st.text(max_size=5), st.dictionaries(st.text(max_size=5), anything, max_size=3)),
        "plugins": st.lists(st.text(max_size=5), max_size=3),
    },
)


@given(simple)
def test_the_short_way_through_a_document_says_what_the_codec_says(data: Any) -> None:
    assert _is_plain(data)
    assert WorkspaceDocument(**data) == codec.structure(data, WorkspaceDocument)


@given(near | anything)
def test_the_short_way_is_taken_whenever_it_can_be_and_never_else(data: Any) -> None:
    try:
        document = codec.structure(data, WorkspaceDocument)
    except SpecInvalid:
        assert not _is_plain(data)
    else:
        fuller = isinstance(document.plugins, dict) or None in (data.get("registry", ""), data.get("target", ""))
        assert _is_plain(data) != fuller


def test_the_schema_in_specs_is_the_one_of_the_types() -> None:
    file = Path(__file__).parents[2] / "specs" / "schema" / "workspace.schema.json"
    written = json.dumps(workspace_schema(), indent=2, ensure_ascii=False) + "\n"
    assert file.read_text() == written, "write it again from `penstock.config.workspace_schema()`"


@pytest.mark.parametrize("option", ["SLOTS", "PASS_ENV", "NO_SUCH"])
def test_a_variable_of_another_target_is_hinted_with_its_option(tmp_path: Path, option: str) -> None:
    error = refused(tmp_path, env={f"PENSTOCK_TARGETS_LAPTOP_{option}": "2"})
    assert f"did you mean `PENSTOCK_TARGETS_LOCAL_{option}`?" in str(error)
