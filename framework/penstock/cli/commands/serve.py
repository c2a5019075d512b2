"""`penstock serve`: the workspace behind HTTP."""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from penstock.cli.click_ext import Command, Group
from penstock.cli.session import Session, require_extra
from penstock.cli.tables import Table
from penstock.config import DOORS, Setting, server_options, server_settings
from penstock.errors import UsageError
from penstock.opening import open_named

if TYPE_CHECKING:
    from penstock.cli.output import Output


@click.command(cls=Command)
@click.option("--host", help="The address to listen on; 127.0.0.1 unless configured.")
@click.option("--port", type=click.IntRange(0, 65_535), help="The port; 8642 unless configured, 0 takes a free one.")
@click.option("--tls-cert", type=click.Path(path_type=Path), metavar="FILE", help="A certificate chain, for HTTPS.")
@click.option("--tls-key", type=click.Path(path_type=Path), metavar="FILE", help="Its private key.")
@click.option("--no-auth", is_flag=True, help="Ask nobody for a token; on a loopback address only.")
@click.option("--no-azureml-v1", is_flag=True, help="Without the door for callers of Azure ML v1.")
@click.option("--no-dispatch", is_flag=True, help="Hand nothing over: `penstock dispatch` does, elsewhere.")
def serve(
    session: Session,
    host: str | None,
    port: int | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    no_auth: bool,
    no_azureml_v1: bool,
    no_dispatch: bool,
) -> None:
    """Serve triggers and the whole API over HTTP until SIGTERM.

    Prints one line with the URL when it is ready to answer, and logs to standard error.
    """
    require_extra("server", "the server", "starlette", "uvicorn", "h11", "joserfc")
    from penstock.server.serving import serve as run

    if (tls_cert is None) != (tls_key is None):
        raise UsageError("`--tls-cert` and `--tls-key` belong together: give both")
    tls = None if tls_cert is None or tls_key is None else (_readable(tls_cert), _readable(tls_key))
    if tls is not None:
        _refuse_no_certificate(*tls)
    config = session.load_config()
    said = {"host": host, "port": port}
    flags = {key: Setting[object](value, f"--{key}") for key, value in said.items() if value is not None}
    log_to_stderr()
    run(
        config,
        server_options(config, flags),
        lambda url: _ready(session.output, url),
        doors=() if no_azureml_v1 else DOORS,
        authenticate=not no_auth,
        dispatch=not no_dispatch,
        tls=tls,
    )


def log_to_stderr() -> None:
    """Write what `penstock` logs to standard error, a JSON object a line."""
    # As the logging HOWTO says under "Optimization": nothing that our lines do not show is looked up for them.
    logging._srcfile = None
    logging.logThreads = logging.logMultiprocessing = logging.logProcesses = False
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    logger = logging.getLogger("penstock")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        data = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            data["traceback"] = self.formatException(record.exc_info)
        return json.dumps(data)  # ASCII: standard error may be of any encoding


def _ready(output: Output, url: str) -> None:
    output.line({"url": url, "pid": os.getpid()}, url if output.quiet else f"serving {url}")


def _readable(path: Path) -> Path:
    try:
        os.close(open_named(path))
    except OSError as error:
        raise UsageError(f"`{path}` cannot be read: {(error.strerror or type(error).__name__).lower()}") from None
    return path


def _refuse_no_certificate(certificate: Path, key: Path) -> None:
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except OSError as error:  # that of the library is one, too
        why = getattr(error, "reason", None) or error.strerror or type(error).__name__
        raise UsageError(
            f"`{certificate}` and `{key}` are no certificate chain and its key in PEM form ({why.lower()})"
        ) from None


@click.group(cls=Group)
def server() -> None:
    """The server that `penstock serve` runs."""


@server.command()
def show(session: Session) -> None:
    """Show how the server is configured, and where each value comes from."""
    from penstock.codec import to_data

    found = server_settings(session.load_config())
    rows = [(one.option, json.dumps(to_data(one.value)), one.origin) for one in found]
    session.output.answer({"items": found}, [Table(("OPTION", "VALUE", "SET BY"), rows)], [one.option for one in found])
