"""`penstock emulate azureml`."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from penstock_azureml_emulator.emulator import Emulator
    from penstock_emulator.server import Server

NEEDS = ("trustme",)
"""Modules of the extra `azureml` that it cannot work without."""


@click.option("--port", type=click.IntRange(0, 65_535), default=0, help="The port on 127.0.0.1; else a free one.")
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where jobs, blobs and logs lie; else a folder that is removed at the end.",
)
@click.option(
    "--schemas",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    metavar="DIR",
    help="Microsoft's ARM schemas, <api-version>.json: what is put is held to them too.",
)
def command(session: Any, port: int, state: Path | None, schemas: Path | None) -> None:
    """Stand in for Azure ML on this machine until SIGTERM: it executes what is submitted, as you, in no container.

    Prints the options of a target that reaches it when it is ready to answer.
    """
    from penstock.errors import UsageError
    from penstock_azureml_emulator import tls
    from penstock_azureml_emulator.emulator import Emulator
    from penstock_emulator.server import Server
    from penstock_emulator.serving import InUse, listening, until_signal

    wait = until_signal()
    folder = state or Path(tempfile.mkdtemp(prefix="penstock-azureml-"))
    try:
        try:
            emulator = Emulator(folder, schemas)
        except InUse as error:
            raise UsageError(str(error)) from None
        try:
            try:
                authority, context = tls.ready(emulator.folder)
            except (OSError, ValueError) as error:
                where = emulator.folder / "ca.pem"
                raise UsageError(
                    f"`{where}` and `ca.key` cannot be used ({error}); remove both, new ones are made"
                ) from None
            try:
                server = listening(emulator.folder, port, lambda free: Server(emulator, free, context))
            except OSError as error:
                raise UsageError(f"port {port} cannot be listened on: {error.strerror}; 0 takes a free one") from None
        except BaseException:  # whatever it was: nobody else closes what watches steps and holds the folder
            emulator.close()
            raise
        _serve(session.output, emulator, server, authority, wait)
    finally:
        if state is None:
            shutil.rmtree(folder, ignore_errors=True)


def _serve(output: Any, emulator: Emulator, server: Server, authority: Path, wait: Callable[[], None]) -> None:
    try:
        emulator.start(server.url)
        server.start()
        found = options(server.url, authority)
        output.note(
            f"note: every command that is submitted to {server.url} is executed on this machine as {_user()}, by bash"
            f" and this interpreter ({sys.executable}) where it says `python`, without its environment"
        )
        for line in _pasteable(found) if not (output.json or output.quiet) else [found["url"]]:
            output.line(found, line)
        wait()
    finally:
        server.stop()
        emulator.close()


def options(url: str, authority: Path) -> dict[str, Any]:
    """What `--json` prints: the URL, the options of a target, the variables for other programs."""
    from penstock_azureml_emulator.arm import GROUP, SUBSCRIPTION, WORKSPACE
    from penstock_azureml_emulator.identity import IDENTITY_HEADER

    return {
        "url": url,
        "target": {
            "backend": "azureml",
            "subscription": SUBSCRIPTION,
            "resource_group": GROUP,
            "workspace": WORKSPACE,
            "compute": "cpu",
            "credentials": "anonymous",
            "resource_manager": url,
            "ca": str(authority),
        },
        "env": {
            "REQUESTS_CA_BUNDLE": str(authority),
            "ARM_CLOUD_METADATA_URL": f"{url}/metadata/endpoints?api-version=2019-05-01",
            "IDENTITY_ENDPOINT": f"{url}/msi/token",
            "IDENTITY_HEADER": IDENTITY_HEADER,
        },
    }


def _pasteable(found: dict[str, Any]) -> list[str]:
    lines = ["targets:", "  azureml:", *(f"    {key}: {_scalar(value)}" for key, value in found["target"].items())]
    return [*lines, *(f"# export {name}={shlex.quote(value)}" for name, value in found["env"].items())]


def _scalar(text: str) -> str:
    """A text in YAML, in quotes where it could be taken for something else."""
    return text if re.fullmatch(r"[A-Za-z0-9/]([\w./-]|:(?=[\w/]))*", text, re.ASCII) else json.dumps(text)


def _user() -> str:
    import getpass

    return getpass.getuser()
