"""The registry: the truth about names, versions, pointers, gates and what was asked for, in one SQLite file."""

from penstock.registry.messages import (
    Breaker,
    CancelOutcome,
    CheckReport,
    Counts,
    GateOutcome,
    Handover,
    MoveOutcome,
    NewRun,
    Owed,
    PublishOutcome,
    PublishPlan,
    PublishRequest,
    Resolution,
    ResolutionChanged,
    TriggerRequest,
    VersionOutcome,
)
from penstock.registry.registry import Registry

__all__ = [
    "Breaker",
    "CancelOutcome",
    "CheckReport",
    "Counts",
    "GateOutcome",
    "Handover",
    "MoveOutcome",
    "NewRun",
    "Owed",
    "PublishOutcome",
    "PublishPlan",
    "PublishRequest",
    "Registry",
    "Resolution",
    "ResolutionChanged",
    "TriggerRequest",
    "VersionOutcome",
]
