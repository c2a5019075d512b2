"""The registry: the truth about names, versions, pointers, gates and what was asked for, in one SQLite file."""

from penstock.registry.front import Registry
from penstock.registry.messages import (
    CancelOutcome,
    CheckReport,
    Counts,
    DeleteOutcome,
    GateOutcome,
    Handover,
    MoveOutcome,
    NewRun,
    PendingHandover,
    PublishOutcome,
    PublishPlan,
    PublishRequest,
    Resolution,
    ResolutionChanged,
    TriggerRequest,
    VersionOutcome,
)

__all__ = [
    "CancelOutcome",
    "CheckReport",
    "Counts",
    "DeleteOutcome",
    "GateOutcome",
    "Handover",
    "MoveOutcome",
    "NewRun",
    "PendingHandover",
    "PublishOutcome",
    "PublishPlan",
    "PublishRequest",
    "Registry",
    "Resolution",
    "ResolutionChanged",
    "TriggerRequest",
    "VersionOutcome",
]
