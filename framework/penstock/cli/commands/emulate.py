"""`penstock emulate`: stand-ins for clouds on this machine, each brought by a package."""

from __future__ import annotations

from typing import Any

import click

from penstock.cli.click_ext import Command, Group
from penstock.cli.session import require_extra


class _Emulators(Group):
    """The installed emulators, imported when they are used."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Their names."""
        from penstock.targets import discovery

        return list(discovery.names("emulator"))

    def get_command(self, context: click.Context, cmd_name: str) -> click.Command | None:
        """Import one emulator and no other: a module with `command`, a function that click's options decorate.

        The function gets the session. `NEEDS` are the modules that it must find, of the extra of its name.
        """
        from penstock.targets import discovery

        if cmd_name in self.commands:
            return self.commands[cmd_name]
        if cmd_name not in discovery.names("emulator"):
            return None
        module: Any = discovery.load("emulator", cmd_name)
        made = click.command(cls=Command, name=cmd_name)(module.command)
        run = made.callback

        def checked(*given: object, **options: object) -> None:
            require_extra(cmd_name, f"the {cmd_name} emulator", *getattr(module, "NEEDS", ()))
            if run is not None:
                run(*given, **options)

        made.callback = checked
        self.add_command(made)
        return made


@click.group(cls=_Emulators)
def emulate() -> None:
    """Stand in for a cloud on this machine: what is submitted is executed here."""
