"""Wrong calls: one line with what was meant, exit status 2, and the same as JSON."""

from __future__ import annotations

import itertools
import shlex

import click
import pytest

from penstock.cli import hints
from penstock.cli.root import root
from penstock.cli.session import Session

CASES = {
    "publsh": "did you mean `publish`?",
    "endpoint lst": "did you mean `list`?",
    "endpoint add_version": "did you mean `add-version`?",
    "run": "",
    "run list --limt 3": "did you mean `--limit`?",
    "run list --limit none": "'none' is not a valid integer",
    "run list --limit 0": "0 is not in the range",
    "run list --state runing": "'runing' is not one of",
    "endpoint list --registry x": "`penstock --registry ... endpoint list`",
    "status --target x": "`penstock --target ... status`",
    "run list --target x": "stays on the target that `penstock publish --target` put it on",
    "history --target x": "known: `--all`",
    "init --target x": "known: `--help`",
    "endpoint --all list": "`penstock endpoint list --all`",
    "endpoint disable digits --version 1": "write `penstock endpoint disable digits@1`",
    "endpoint disable --reason why --version=1 digits": "write `penstock endpoint disable --reason why digits@1`",
    "endpoint disable digits@0 --version 1": "write `penstock endpoint disable digits@1`",
    "endpoint enable digits --version": "write `penstock endpoint enable digits@VALUE`",
    "endpoint set-default digits --version 1": "write `penstock endpoint set-default digits 1`",
    "endpoint rollback digits --to 0": "write `penstock endpoint set-default digits 0`",
    "endpoint create --pipeline digits:1 digits": "write `penstock endpoint create digits digits:1`",
    "endpoint create --pipeline digits:1": "write `penstock endpoint create NAME digits:1`",
    "endpoint enable digits --reason why": "known: `--help`, `--json`, `--quiet`",
    "endpoint list -o json": "did you mean `--json`?",
    "pipeline show digits --label 1": "write `penstock pipeline show digits:1`",
    "submit digits --version 1 -p a=1": "write `penstock submit digits@1 -p a=1`",
    "submit --endpoint digits -p a=1": "write `penstock submit digits -p a=1`",
    "submit digits --param a=1": "did you mean `-p`?",
    "submit digits --version 1 --param a=1": "known: ",
    "submit digits --desc why": "did you mean `--description`?",
    "publish x.yaml --version 1": "did you mean `--label`?",
    "run list --status failed": "did you mean `--state`?",
    "run list --tag team": "known: ",
    "run show abc --wait": "write `penstock run wait abc`",
    "run logs abc --step train": "write `penstock run logs abc train`",
    "run logs --step train": "write `penstock run logs ID train`",
    "run logs abc -xf": "known: ",
    "history --endpoint digits": "write `penstock endpoint history digits`",
    "submit": "Missing argument 'REF'",
    "submit x -p depth": "-p takes `name=value`, not `depth`",
    "submit x -p =1": "-p takes `name=value`, not `=1`",
    "submit x -p a=1 -p a=2": "-p `a` is given twice",
    "token create a --scope submit --scope read": "`--scope` is given twice, and takes one value",
    "submit x --experiment a --experiment=a": "`--experiment` is given twice, and takes one value",
    "--target a --target b status": "`--target` is given twice, and takes one value",
    "submit x --tag team": "--tag takes `name=value`, not `team`",
    "publish": "give a spec file or --from REF",
    "publish x.yaml --from y": "give a spec file or --from REF",
    "publish x.yaml --default": "--default needs --endpoint NAME",
    "endpoint history x --at noon": "`noon` is not a time",
    "history --since 2026-13-01": "`2026-13-01` is not a time",
    "run wait x --timeout soon": "`soon` is not a duration",
    "validate": "Missing argument 'FILE...'",
    "status extra": "unexpected extra argument",
}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    assert not list(tmp_path.iterdir()), "a wrong call writes nothing"


@pytest.mark.parametrize("line", CASES)
def test_a_wrong_call_is_one_line_and_exit_2(cli, line):
    answer = cli(*line.split()).refused(2)
    assert answer.out == ""
    assert CASES[line] in answer.err
    if CASES[line]:
        first, *rest = answer.err.splitlines()
        assert first.startswith("error: ")
        assert rest in ([], [rest[0] if rest and rest[0].startswith("see: penstock") else None])


@pytest.mark.parametrize("line", CASES)
def test_a_wrong_call_is_one_document_with_json_anywhere(cli, line):
    for arguments in (["--json", *line.split()], [*line.split(), "--json"]):
        answer = cli(*arguments).refused(2)
        assert answer.err == ""
        error = answer.json["error"]
        assert set(error) == {"code", "message", "details"}
        assert error["code"] == "usage_error"


def leaves(group: click.Group, *path: str):
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        if isinstance(command, click.Group):
            yield from leaves(command, *path, name)
        else:
            yield (*path, name), command


def needed(command):
    """What a call must say by options."""
    options = [one for one in command.params if isinstance(one, click.Option) and one.required]
    return [word for one in options for word in (one.opts[0], one.type.choices[0])]


def test_an_argument_that_is_given_as_an_option_is_hinted_as_a_call_that_can_be_read(cli):
    for path, command in leaves(root):
        for argument in command.params:
            if isinstance(argument, click.Argument):
                said = cli(*path, f"--{argument.name}", "a b").refused(2).err
                *_, written, _ = said.splitlines()[0].split("`")
                head, *words = shlex.split(written)
                assert head == "penstock" and tuple(words[: len(path)]) == path and "a b" in words
                command.make_context("x", [*words[len(path) :], *needed(command)], obj=Session())


def test_flags_that_say_different_things_of_one_are_refused_in_either_order(cli):
    met = 0
    for path, command in leaves(root):
        flags = [one for one in command.params if isinstance(one, click.Option) and one.is_flag]
        for one, other in itertools.permutations(flags, 2):
            if one.name == other.name:
                said = cli(*path, "x", one.opts[0], other.opts[0]).refused(2).err
                assert f"`{one.opts[0]}` and `{other.opts[0]}` contradict each other" in said
                met += 1
    assert met
    for window, off in (("--window", "5m"), ("--off",)), (("--off",), ("--window", "5m")):
        assert "or `--off`" in cli("endpoint", "deduplicate", "x", *window, *off).refused(2).err


def test_what_a_call_lacks_is_said_on_one_line_that_a_person_can_read(cli):
    for path, command in leaves(root):
        lacking = [one for one in command.params if one.required]
        for one in lacking:
            others = [word for other in lacking if other is not one for word in said_of(other)]
            line = cli(*path, *others).refused(2).err.splitlines()[0]
            assert line.startswith("error: Missing ") and "\\" not in line
            assert all(choice in line for choice in getattr(one.type, "choices", ()))


def test_a_duration_has_a_unit_in_every_option(cli):
    asked = [(path, command, one) for path, command in leaves(root) for one in command.params
             if one.metavar == "DURATION"]  # fmt: skip
    assert {(*path, one.name) for path, _, one in asked} == {
        ("endpoint", "deduplicate", "window"), ("run", "wait", "timeout"), ("token", "create", "expires"),
    }  # fmt: skip
    for path, command, option in asked:
        required = [word for other in command.params if other.required for word in said_of(other)]
        for text in ("10", "1.5", "-1s", "10 m", ""):
            assert "is not a duration" in cli(*path, *required, option.opts[0], text).refused(2).err
        assert "write `30s`, `30m` or `30d`" in cli(*path, *required, option.opts[0], "30").refused(2).err


def said_of(one):
    return ["x"] if isinstance(one, click.Argument) else [one.opts[0], one.type.choices[0]]


def test_the_hints_name_options_and_commands_that_there_are():
    commands = {" ".join(path): {word for one in command.params for word in one.opts} for path, command in leaves(root)}
    assert set(hints._SYNONYMS.values()) <= set.union(*commands.values())
    assert not [name for name, options in commands.items() if options & set(hints._SYNONYMS) - {"--version"}]
    assert set(hints._ELSEWHERE) <= set(commands)


def test_json_after_two_dashes_is_an_argument(cli):
    answer = cli("submit", "--", "--json", "more").refused(2)
    assert answer.err.startswith("error: ")


def test_a_bare_call_shows_the_help_and_exit_2(cli):
    assert "Commands:" in cli().refused(2).err
    assert "rollback" in cli("endpoint").refused(2).err


def test_the_version_is_shown(cli):
    from importlib.metadata import version

    assert cli("--version").ok().out == f"penstock {version('penstock')}\n"
    assert cli("--version", "--json").ok().json == {"version": version("penstock")}
