"""The format of an export: one JSON object a line, as the API server returned it, without managedFields."""

from __future__ import annotations

import json

from runwright.api.resources import (
    PIPELINE_EXPERIMENTS,
    PIPELINE_MANIFESTS,
    PIPELINE_RUNS,
    RETENTION_POLICIES,
    WORKFLOW_SNAPSHOTS,
)
from runwright.core.archive.portable import strip_for_export
from runwright.kube.objects import Json, as_mapping
from runwright.kube.resource import CONFIG_MAPS, Resource

EXPORTED: dict[str, Resource] = {
    "ConfigMap": CONFIG_MAPS,
    "PipelineManifest": PIPELINE_MANIFESTS,
    "RetentionPolicy": RETENTION_POLICIES,
    "PipelineExperiment": PIPELINE_EXPERIMENTS,
    "PipelineRun": PIPELINE_RUNS,
    "WorkflowSnapshot": WORKFLOW_SNAPSHOTS,
}
"""Exported kinds, in the order of the file: manifests first, and snapshots after their runs."""


class ImportFileError(Exception):
    """A line of the file cannot be imported. The message names the line."""


def export_line(body: Json) -> bytes:
    """The line of an object."""
    return json.dumps(strip_for_export(body), ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def parse_line(number: int, line: str) -> Json:
    """The object of line `number`. Raises ImportFileError."""
    try:
        body = as_mapping(json.loads(line))
    except (ValueError, RecursionError) as error:
        raise ImportFileError(f"line {number}: expected JSON: {error}") from error
    if body.get("kind") not in EXPORTED:
        raise ImportFileError(
            f"line {number}: expected an object of `runwright export`, found kind {body.get('kind')!r}"
        )
    return body
