"""The JSON Schema of what commands print with `--json`, made from the classes of what they answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock.cli.demo_acts import Act
from penstock.cli.signature import ParameterShown
from penstock.cli.urls import TriggerUrls
from penstock.codec.schemas import DIALECT, Schema, answer_schema
from penstock.config import ServerSetting
from penstock.errors import Problem
from penstock.records import DefaultAt, EndpointRecord, HistoryRecord, Page, PublishedRecord, RunRecord, TokenRecord
from penstock.registry import CancelOutcome, CheckReport, GateOutcome, MoveOutcome, NewToken, VersionOutcome
from penstock.snapshot import Bundled
from penstock.workspace.admin import Restored, Status
from penstock.workspace.clearing import Cleared
from penstock.workspace.downloads import Downloaded
from penstock.workspace.publishing import Publishing
from penstock.workspace.targets import PluginStatus, TargetStatus

_EMULATED = {"url": str, "target": Mapping[str, Any], "env": Mapping[str, str]}

COMMANDS: Mapping[str, Any] = {
    "init": {"config": str},
    "demo": {"folder": str, "acts": tuple[Act, ...], "runs": tuple[RunRecord, ...], "picture": str | None},
    "status": Status,
    "validate": {
        "files": [
            {
                "file": str,
                "name": str,
                "digest": str,
                "target": str,
                "warnings": tuple[Problem, ...],
                "bundled": tuple[Bundled, ...],
            }
        ]
    },
    "publish": Publishing,
    "pipeline list": Page[PublishedRecord],
    "pipeline show": (PublishedRecord, {"parameters": tuple[ParameterShown, ...]}),
    "pipeline disable": GateOutcome,
    "pipeline enable": GateOutcome,
    "pipeline delete": PublishedRecord,
    "endpoint create": EndpointRecord,
    "endpoint add-version": VersionOutcome,
    "endpoint list": Page[EndpointRecord],
    "endpoint show": (EndpointRecord, {"urls": TriggerUrls, "parameters": tuple[ParameterShown, ...]}),
    "endpoint history": Page[HistoryRecord],
    "endpoint history --at": DefaultAt,
    "endpoint rename": EndpointRecord,
    "endpoint delete": EndpointRecord,
    "endpoint set-default": MoveOutcome,
    "endpoint rollback": MoveOutcome,
    "endpoint access": EndpointRecord,
    "endpoint deduplicate": EndpointRecord,
    "endpoint disable": GateOutcome,
    "endpoint enable": GateOutcome,
    "submit": (RunRecord, {"replayed": bool, "warnings": tuple[str, ...], "bundled": tuple[Bundled, ...]}),
    "submit --wait": RunRecord,
    "run list": Page[RunRecord],
    "run show": RunRecord,
    "run wait": RunRecord,
    "run cancel": CancelOutcome,
    "run logs": {"id": str, "steps": Mapping[str, str]},
    "run outputs": {"id": str, "outputs": Mapping[str, Any], "missing?": Mapping[str, str]},
    "run outputs --download": {"id": str, "artifacts": tuple[Downloaded, ...]},
    "run clean": Cleared,
    "run rerun": (RunRecord, {"replayed": bool, "warnings": tuple[str, ...], "bundled": tuple[Bundled, ...]}),
    "target list": {"items": tuple[TargetStatus, ...]},
    "target check": {"target": str, "ok": bool, "lines": tuple[str, ...]},
    "plugin list": {"items": tuple[PluginStatus, ...]},
    "serve": {"url": str, "pid": int},
    "emulate azureml": _EMULATED,
    "emulate vertex": _EMULATED,
    "server show": {"items": tuple[ServerSetting, ...]},
    "dispatch": {"pid": int},
    "token create": NewToken,
    "token list": {"items": tuple[TokenRecord, ...]},
    "token revoke": TokenRecord,
    "registry check": CheckReport,
    "registry backup": {"backup": str},
    "registry restore": Restored,
    "history": Page[HistoryRecord],
    "--version": {"version": str},
    "error": {"error": {"code": str, "message": str, "details": tuple[Problem, ...]}},
}
"""What each command answers: a class, the keys of an object, or a class with more keys."""


def output_schema() -> Schema:
    """The schema of all answers: `$defs` holds one by the name of each command, and `error`.

    `specs/schema/output.schema.json` holds what this returns: `penstock schema Output`.
    """
    definitions: Schema = {}
    answers = {name: answer_schema(answer, definitions) for name, answer in COMMANDS.items()}
    return {
        "$schema": DIALECT,
        "title": "Output",
        "description": "What commands print with --json: the definition of a command's name.",
        "anyOf": [{"$ref": f"#/$defs/{name}"} for name in answers],
        "$defs": {**answers, **dict(sorted(definitions.items()))},
    }
