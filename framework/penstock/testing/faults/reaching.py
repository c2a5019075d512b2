"""The hooks that reach the target: where a process can be killed before and after, and an answer can be troubled."""

from __future__ import annotations

REACHING: dict[str, str] = {
    "penstock_publish_pipeline": "publish",
    "penstock_submit_run": "submit",
    "penstock_get_run": "get_run",
    "penstock_get_outputs": "get_outputs",
    "penstock_read_logs": "read_logs",
    "penstock_cancel_run": "cancel",
    "penstock_sync_endpoint": "sync_endpoint",
    "penstock_retire_pipeline": "retire",
}
"""Each with the method of `OpenTarget` that asks it. The other hooks answer from what they are given, or put what they
find there into it: `penstock_fetch_artifact`.
"""
