"""PipelineRuns and experiments as the API server has them, for the tests of the run service."""

from __future__ import annotations

from typing import Any


def run_body(name: str = "train", **changes: Any) -> dict[str, Any]:
    """A PipelineRun; `changes` by part: metadata, spec, status."""
    return {
        "apiVersion": "runwright.dev/v1alpha1",
        "kind": "PipelineRun",
        "metadata": {
            "namespace": "team",
            "name": name,
            "uid": f"uid-{name}",
            "resourceVersion": "7",
            "creationTimestamp": "2026-11-26T10:00:00Z",
            **changes.get("metadata", {}),
        },
        "spec": {"displayName": name.title(), "workflow": {"manifest": "{}"}, **changes.get("spec", {})},
        "status": changes.get("status", {}),
    }
