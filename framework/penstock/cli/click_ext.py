"""Commands and groups of ours: `--json` and `--quiet` on every command, late loading, did-you-mean."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

import click

Table = Mapping[str, tuple[str, str]]
GIVEN = "penstock.given"
"""Where a context keeps the arguments of its command."""


class Command(click.Command):
    """A command with `--json` and `--quiet`, whose function takes the Session first."""

    def __init__(self, name: str | None, **settings: Any) -> None:
        super().__init__(name, **settings)
        # `--json` is read from the whole command line, so that errors obey it too.
        self.params += [
            click.Option(["--json"], is_flag=True, expose_value=False, help="Answer with one JSON document."),
            click.Option(["-q", "--quiet"], is_flag=True, help="Answer with bare ids only."),
        ]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments, and keep them as they were given: what is wrong with them is said with them."""
        ctx.meta[GIVEN] = list(args)
        _refuse_twice(self, ctx, args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Call the command's function."""
        ctx.obj.output.quiet = ctx.params.pop("quiet")
        return None if self.callback is None else ctx.invoke(self.callback, ctx.obj, **ctx.params)


class Group(click.Group):
    """A group of such commands, in the order they are written, that says what an unknown command was meant to be."""

    command_class = Command

    def __init__(self, name: str | None = None, **settings: Any) -> None:
        super().__init__(name, **settings)
        # Where it stands does not matter, see Command.
        self.params.append(click.Option(["--json"], is_flag=True, expose_value=False, hidden=True))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options that stand before the command."""
        if args:
            _refuse_twice(self, ctx, args)
        return super().parse_args(ctx, args)

    def list_commands(self, context: click.Context) -> list[str]:
        """The names of the commands."""
        return list(self.commands)

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; an unknown one is a usage error with the nearest name."""
        name = args[0]
        command = self.get_command(context, name)
        if command is None and not name.startswith("-"):
            from penstock.errors import did_you_mean

            hint = did_you_mean(name, self.list_commands(context))
            raise click.UsageError(f"`{context.command_path}` has no command `{name}` ({hint})", context)
        return super().resolve_command(context, args)


class RootGroup(Group):
    """The root: its commands are named in a table and imported on use; other packages add theirs by entry point."""

    def __init__(self, name: str | None = None, *, table: Table, **settings: Any) -> None:
        super().__init__(name, **settings)
        self._table = table

    def list_commands(self, context: click.Context) -> list[str]:
        """Our commands in the table's order, then those of other packages."""
        return [*self._table, *_foreign(self._table)]

    def get_command(self, context: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command and no other. Raises BackendBroken for another package's that is not a command."""
        if cmd_name in self._table:
            command: click.Command = getattr(import_module(self._table[cmd_name][0]), cmd_name)
            return command
        if cmd_name not in _foreign(self._table):
            return None
        from penstock.errors import BackendBroken
        from penstock.targets import discovery

        loaded = discovery.load("command", cmd_name)
        if not isinstance(loaded, click.Command):
            raise BackendBroken(f"the command `{cmd_name}` is no click command but {loaded!r}", code="command_broken")
        return loaded

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table, without importing any command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in self._table.items()])
        foreign = _foreign(self._table)
        if foreign:
            with formatter.section("Commands of other packages"):
                formatter.write_dl([(name, f"from {source}") for name, source in foreign.items()])


def _refuse_twice(command: click.Command, ctx: click.Context, args: Sequence[str]) -> None:
    """Refuse an option that takes one value and is given more, and flags that say different things of one: of both
    click would keep the last without a word.
    """
    _, _, given = command.make_parser(ctx).parse_args(args=list(args))
    for option in given:
        single = isinstance(option, click.Option) and not (option.multiple or option.is_flag or option.count)
        if single and given.count(option) > 1:
            raise click.UsageError(f"`{max(option.opts, key=len)}` is given twice, and takes one value", ctx)
        rivals = [other for other in given if other.name == option.name and other is not option]
        if rivals:
            said = " and ".join(f"`{max(one.opts, key=len)}`" for one in (option, rivals[0]))
            raise click.UsageError(f"{said} contradict each other: say one of them", ctx)


def _foreign(own: Table) -> dict[str, str]:
    """The commands of other packages and where they come from; ours win over one of the same name."""
    if not _any_installed(sys.path):
        return {}
    from penstock.targets import discovery

    return {name: source for name, source in discovery.names("command").items() if name not in own}


def _any_installed(folders: Sequence[str]) -> bool:
    """Whether any package on the path brings a command: a look at files, as importlib.metadata takes too long."""
    for folder in folders:
        with suppress(OSError):
            for name in os.listdir(folder or "."):  # noqa: PTH208  # pathlib is a tenth of the start
                if name.endswith("-info") and _brings_command(f"{folder or '.'}/{name}/entry_points.txt"):
                    return True
    return False


def _brings_command(file: str) -> bool:
    with suppress(OSError), open(file, "rb") as opened:  # noqa: PTH123  # as above
        return b"[penstock.commands]" in opened.read()
    return False
