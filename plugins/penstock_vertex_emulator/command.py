"""`penstock emulate vertex`."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from penstock_emulator.server import Server
    from penstock_vertex_emulator.emulator import Emulator
    from penstock_vertex_emulator.grpc_server import GrpcServer

NEEDS = ("google.cloud.aiplatform_v1", "google_crc32c", "kfp.pipeline_spec", "grpc")
"""Modules of the extra `vertex` that it cannot work without."""

PROJECT, LOCATION, BUCKET = "penstock-emulator", "us-central1", "penstock-emulator"


@click.option("--port", type=click.IntRange(0, 65_535), default=0, help="The port on 127.0.0.1; else a free one.")
@click.option("--grpc-port", type=click.IntRange(0, 65_535), help="Speak gRPC too, on this port; 0 takes a free one.")
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where jobs, objects and logs lie; else a folder that is removed at the end.",
)
def command(session: Any, port: int, grpc_port: int | None, state: Path | None) -> None:
    """Stand in for Vertex AI on this machine until SIGTERM: it executes what is submitted, as you, in no container.

    Prints the options of a target that reaches it when it is ready to answer.
    """
    from penstock.errors import UsageError
    from penstock_emulator.server import Server
    from penstock_emulator.serving import InUse, listening, until_signal
    from penstock_vertex_emulator.emulator import Emulator
    from penstock_vertex_emulator.grpc_server import GrpcServer

    wait = until_signal()
    folder = state or Path(tempfile.mkdtemp(prefix="penstock-vertex-"))
    try:
        try:
            emulator = Emulator(folder)
        except InUse as error:
            raise UsageError(str(error)) from None
        except OSError as error:
            raise UsageError(f"{folder} cannot be used: {error.strerror}; choose another with --state") from None
        try:
            server = listening(folder, port, lambda free: Server(emulator, free))
            grpc = None if grpc_port is None else GrpcServer(emulator, grpc_port)
        except OSError as error:
            emulator.close()
            which = f"{port or grpc_port}" if grpc_port is None or not port else f"{port} or {grpc_port}"
            raise UsageError(f"port {which} cannot be listened on: {error.strerror}; 0 takes a free one") from None
        _serve(session.output, emulator, server, grpc, wait)
    finally:
        if state is None:
            shutil.rmtree(folder, ignore_errors=True)


def _serve(output: Any, emulator: Emulator, server: Server, grpc: GrpcServer | None, wait: Callable[[], None]) -> None:
    emulator.ensure_bucket(BUCKET)
    server.start()
    if grpc is not None:
        grpc.start()
    try:
        found = options(server.url, None if grpc is None else grpc.address)
        output.note(
            f"note: every container step that is submitted to {server.url} is executed on this machine as"
            f" {_user()}, by this interpreter ({sys.executable}) where it says `python`, without its image"
        )
        for line in _pasteable(found) if not (output.json or output.quiet) else [found["url"]]:
            output.line(found, line)
        wait()
    finally:
        if grpc is not None:
            grpc.stop()
        server.stop()
        emulator.close()


def options(url: str, grpc: str | None = None) -> dict[str, Any]:
    """What `--json` prints: the URL, the options of a target, the variables for other programs.

    With the address of a gRPC server the target uses that.
    """
    return {
        "url": url,
        "target": {
            "backend": "vertex",
            "project": PROJECT,
            "location": LOCATION,
            "staging": f"gs://{BUCKET}",
            "credentials": "anonymous",
            "api_endpoint": grpc or url,
            "transport": "grpc" if grpc else "rest",
            "storage_endpoint": url,
            "logging_endpoint": url,
            "log_settle": 0,
        },
        "env": {"STORAGE_EMULATOR_HOST": url},
    }


def _pasteable(found: dict[str, Any]) -> list[str]:
    lines = ["targets:", "  vertex:", *(f"    {key}: {value}" for key, value in found["target"].items())]
    return [*lines, *(f"# export {name}={value}" for name, value in found["env"].items())]


def _user() -> str:
    import getpass

    return getpass.getuser()
