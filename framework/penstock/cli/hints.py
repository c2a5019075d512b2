"""What somebody meant who wrote an option that a command does not have."""

from __future__ import annotations

import difflib
import shlex

import click

from penstock.cli.click_ext import GIVEN
from penstock.errors import did_you_mean

_SYNONYMS = {
    **dict.fromkeys(("--param", "--set", "--arg", "--input"), "-p"),
    **dict.fromkeys(("--output", "--format", "-o"), "--json"),
    **dict.fromkeys(("--message", "-m"), "--reason"),
    **dict.fromkeys(("--actor", "--user"), "--by"),
    "--version": "--label",
    "--watch": "--wait",
    "-f": "--follow",
    "-n": "--limit",
}
"""What other programs call an option of ours."""

_SUFFIXES = {
    "endpoint": {"version": "@"},
    "pipeline": {"version": ":", "label": ":"},
    "submit": {"version": "@", "label": ":"},
}
"""By the first word of a command: options that are part of its argument REF."""

_ARGUMENTS = {
    "files": ("file",),
    "name": ("id",),
    "new": ("to", "name"),
    "published": ("pipeline", "from"),
    "ref": ("id", "name"),
    "version": ("to",),
}
"""What else an argument may be called."""

_ELSEWHERE = {
    "history": {"endpoint": "endpoint history {value}", "run": "run show {value}"},
    "endpoint rollback": dict.fromkeys(("to", "version"), "endpoint set-default {name} {value}"),
    "run show": {"wait": "run wait {ref}", "follow": "run logs {ref} --follow"},
}
"""By command: options that are another command."""


def option_hint(name: str, context: click.Context) -> str:
    """What to write in place of an option that the context's command does not have, else the options it has."""
    command, path = context.command, context.command_path.partition(" ")[2]
    own = [word for one in command.params for word in one.opts if word.startswith("-")]
    if isinstance(command, click.Group):
        having = [one for one, sub in command.commands.items() if any(name in option.opts for option in sub.params)]
        if having:
            return f"it stands after the command: `penstock {path} {having[0]} {name}`"
    elif meant := _meant(name, context):
        return f"write `penstock {meant}`"
    if _SYNONYMS.get(name) in own:
        return f"did you mean `{_SYNONYMS[name]}`?"
    if path and (name in ("--config", "--registry") or (name == "--target" and path in ("status", "target list"))):
        return f"it stands before the command: `penstock {name} ... {path}`"
    if name == "--target" and path.partition(" ")[0] in ("endpoint", "pipeline", "run"):
        return "everything stays on the target that `penstock publish --target` put it on"
    # Compared without the dashes, which all options have in common.
    words, bare = [word[2:] for word in own if word.startswith("--")], name.strip("-")
    near = [word for word in words if word.startswith(bare)] or difflib.get_close_matches(bare, words, cutoff=0.7)
    return f"did you mean `--{near[0]}`?" if near else did_you_mean("", [f"--{word}" for word in (*words, "help")])


def _meant(name: str, context: click.Context) -> str | None:
    """The command line, without `penstock`, that says the option's value as this or another command takes it."""
    path, bare = context.command_path.partition(" ")[2], name.strip("-")
    given, value = without(name, context.meta.get(GIVEN, []))
    arguments = {str(one.name): one for one in context.command.params if isinstance(one, click.Argument)}
    try:
        read, _, _ = context.command.make_parser(context).parse_args(list(given))
    except click.UsageError:
        return None  # more is wrong
    said = {key: text for key in arguments if isinstance(text := read.get(key), str)}
    if elsewhere := _ELSEWHERE.get(path, {}).get(bare):
        words = {**dict.fromkeys(arguments, "NAME"), **said, "value": value}
        return elsewhere.format_map({key: shlex.quote(word) for key, word in words.items()})
    suffix = _SUFFIXES.get(path.split()[0], {}).get(bare)
    if suffix and "ref" in said:
        changed = said["ref"].partition(suffix)[0] + suffix + value
        return f"{path} {shlex.join(changed if word == said['ref'] else word for word in given)}"
    called = next((key for key, one in arguments.items() if bare in _names(one, context)), None)
    if called is None or called in said:
        return None
    words = {key: one.make_metavar(context) for key, one in arguments.items() if one.required} | said | {called: value}
    options = [word for word in given if word not in said.values()]
    return f"{path} {shlex.join([*(words[key] for key in arguments if key in words), *options])}"


def _names(argument: click.Argument, context: click.Context) -> set[str]:
    """What an argument may be called; the first one also by what the group is about."""
    names = {str(argument.name), (argument.metavar or "").lower(), *_ARGUMENTS.get(str(argument.name), ())}
    if argument is next(one for one in context.command.params if isinstance(one, click.Argument)):
        path = context.command_path.split()[1:]
        names |= {"endpoint", "pipeline"} if path == ["submit"] else {path[0]}
    return names


def without(name: str, given: list[str]) -> tuple[list[str], str]:
    """The arguments without an option that takes a value, where it first stands, and the value."""
    for at, word in enumerate(given):
        if word == name:
            return [*given[:at], *given[at + 2 :]], next(iter(given[at + 1 : at + 2]), "VALUE")
        if word.startswith(f"{name}="):
            return [*given[:at], *given[at + 1 :]], word.removeprefix(f"{name}=")
    return given, "VALUE"
