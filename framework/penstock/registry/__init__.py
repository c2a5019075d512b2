"""The registry: the truth about names, versions, pointers, gates and what was asked for, in one SQLite file."""

from penstock.registry.front import Registry
from penstock.registry.orders import (
    Accepted,
    CancelOutcome,
    CheckReport,
    Counts,
    DeleteOutcome,
    GateOutcome,
    Handover,
    MoveOutcome,
    PublishOrder,
    PublishOutcome,
    PublishPlan,
    Resolution,
    ResolutionMoved,
    TriggerOrder,
    VersionOutcome,
    Waiting,
)

__all__ = [
    "Accepted",
    "CancelOutcome",
    "CheckReport",
    "Counts",
    "DeleteOutcome",
    "GateOutcome",
    "Handover",
    "MoveOutcome",
    "PublishOrder",
    "PublishOutcome",
    "PublishPlan",
    "Registry",
    "Resolution",
    "ResolutionMoved",
    "TriggerOrder",
    "VersionOutcome",
    "Waiting",
]
