"""The registry: the truth about names, versions, pointers, gates and what was asked for, in one SQLite file."""

from penstock.registry.file import copied
from penstock.registry.messages import (
    CancelOutcome,
    CheckReport,
    Counts,
    GateOutcome,
    HistoryQuery,
    MoveOutcome,
    NewRun,
    NewSession,
    NewToken,
    Owed,
    PublishOutcome,
    PublishRequest,
    Resolution,
    ResolutionChanged,
    RunQuery,
    TriggerRequest,
    VersionOutcome,
)
from penstock.registry.registry import Registry
from penstock.registry.together import Elsewhere, Together

__all__ = [
    "CancelOutcome",
    "CheckReport",
    "Counts",
    "Elsewhere",
    "GateOutcome",
    "HistoryQuery",
    "MoveOutcome",
    "NewRun",
    "NewSession",
    "NewToken",
    "Owed",
    "PublishOutcome",
    "PublishRequest",
    "Registry",
    "Resolution",
    "ResolutionChanged",
    "RunQuery",
    "Together",
    "TriggerRequest",
    "VersionOutcome",
    "copied",
]
