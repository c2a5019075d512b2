"""The registry: the truth about names, versions, pointers, gates and what was asked for, in one SQLite file."""

from penstock.registry.file import copied
from penstock.registry.group_commit import GroupCommit, WouldBlock
from penstock.registry.messages import (
    Breaker,
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
    Revived,
    RunQuery,
    TriggerRequest,
    VersionOutcome,
)
from penstock.registry.outbox import AT_ONCE
from penstock.registry.registry import Registry

__all__ = [
    "AT_ONCE",
    "Breaker",
    "CancelOutcome",
    "CheckReport",
    "Counts",
    "GateOutcome",
    "GroupCommit",
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
    "Revived",
    "RunQuery",
    "TriggerRequest",
    "VersionOutcome",
    "WouldBlock",
    "copied",
]
