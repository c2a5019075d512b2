"""`penstock init`: a commented configuration to start from."""

from __future__ import annotations

from pathlib import Path

import click

from penstock import trust
from penstock.cli.click_ext import Command
from penstock.cli.session import Session
from penstock.errors import ConfigInvalid, Conflict
from penstock.making import open_to_write

TEMPLATE = """\
# The workspace of this folder and of everything below it.
# Later wins: this file, then PENSTOCK_* variables, then options of the command.

# One SQLite file on this machine: names, versions, defaults, gates, and every run that was asked for.
registry: .penstock/registry.db

# Where `penstock publish` and trial runs of files go when no target is named.
target: local

# Where pipelines run. The target decides where you publish; the version decides where it runs.
targets:
  local: {backend: local}

# A team's would say more:
#   laptop: {backend: local, slots: 4, pass_env: [HTTPS_PROXY]}

# Plugins see every command, refused ones too. `audit` appends one JSON line for each.
# plugins: [audit]
"""


@click.command(cls=Command)
def init(session: Session) -> None:
    """Write a commented penstock.yaml into the current folder.

    A file that is already there is never overwritten.
    """
    path = Path.cwd() / "penstock.yaml"
    trust.refuse_place(path, "the configuration")
    try:
        with open_to_write(path, fresh=True) as file:
            file.write(TEMPLATE.encode())
    except FileExistsError:
        raise Conflict(f"{path} exists and was left as it is", code="file_exists") from None
    except OSError as error:
        raise ConfigInvalid(f"{path} cannot be written: {error.strerror}", code="file_unwritable") from None
    session.output.answer({"config": str(path)}, [f"wrote {path}"], [str(path)])
