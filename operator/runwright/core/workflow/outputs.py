"""Selects the outputs of a Workflow for the status of its run, within a byte budget."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from runwright.api.pipelinerun import OutputArtifact, OutputParameter, Outputs
from runwright.core.status.sizes import json_bytes

MOST_OUTPUTS = 1000
"""Items of each list that are looked at."""

OUTPUTS_BUDGET = 1536
"""Maximum bytes of names, values and keys in `status.outputs`."""

VALUE_LIMIT = 512
"""Maximum bytes of an output parameter's value; of a longer one, only the name is kept."""

LOGS_ARTIFACT = "main-logs"
"""The artifact in which Argo archives a node's logs; not an output of the pipeline."""


def bounded_outputs(*outputs: Mapping[str, Any]) -> Outputs | None:
    """Parameters and artifacts of all given outputs, or None. A later one replaces an earlier one with the same name."""
    parameters: dict[str, OutputParameter] = {}
    unseen = sum(
        max(0, len(cast(list[object], items)) - MOST_OUTPUTS)
        for output in outputs
        for items in (output.get("parameters"), output.get("artifacts"))
        if isinstance(items, list)
    )
    artifacts: dict[str, OutputArtifact] = {}
    for output in outputs:
        for name, item in named_items(output.get("parameters")):
            value = item.get("value")
            short = isinstance(value, str) and json_bytes(value) <= VALUE_LIMIT
            parameters[name] = OutputParameter(name=name, value=cast(str, value) if short else None)
        for name, item in named_items(output.get("artifacts")):
            if name != LOGS_ARTIFACT:
                artifacts[name] = OutputArtifact(name=name, key=artifact_key(item))
    if not parameters and not artifacts:
        return None
    left, omitted = OUTPUTS_BUDGET, unseen
    kept: list[OutputParameter | OutputArtifact] = []
    for item in [*parameters.values(), *artifacts.values()]:
        content = item.value if isinstance(item, OutputParameter) else item.key
        size = 24 + json_bytes(item.name) + json_bytes(content or "")
        if size <= left:
            kept.append(item)
            left -= size
        else:
            omitted += 1
    return Outputs(
        parameters=[item for item in kept if isinstance(item, OutputParameter)] or None,
        artifacts=[item for item in kept if isinstance(item, OutputArtifact)] or None,
        omitted=omitted or None,
    )


def named_items(items: object) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The first items of a list that are objects with a valid name, by name."""
    for item in cast(list[object], items)[:MOST_OUTPUTS] if isinstance(items, list) else []:
        if isinstance(item, Mapping):
            fields = cast(Mapping[str, Any], item)
            name = fields.get("name")
            if isinstance(name, str) and 0 < len(name) <= 253:
                yield name, fields


def artifact_key(artifact: Mapping[str, Any]) -> str | None:
    """The key of an artifact in its object store, which Argo writes as `s3.key`, `gcs.key` …"""
    for store in artifact.values():
        if isinstance(store, Mapping):
            key = cast(Mapping[str, Any], store).get("key")
            if isinstance(key, str) and len(key) <= 1024:
                return key
    return None
