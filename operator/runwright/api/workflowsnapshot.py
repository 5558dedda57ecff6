"""`WorkflowSnapshot` (`runwright.dev/v1alpha1`): the final Workflow of a run, kept after the Workflow is deleted."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from runwright.api.model import Model
from runwright.api.resources import API_VERSION, WORKFLOW_SNAPSHOTS

KIND = "WorkflowSnapshot"
PLURAL = WORKFLOW_SNAPSHOTS.plural

MAX_SNAPSHOT = 1_400_000
"""Characters of `data`; etcd refuses objects over 1.5 MB."""


class WorkflowSnapshot(Model):
    """A WorkflowSnapshot contains the final Workflow of one attempt of a run, compressed."""

    api_version: str = API_VERSION
    kind: str = KIND
    metadata: dict[str, Any] = Field(default_factory=dict[str, Any])
    attempt: Annotated[int, Field(ge=0)] = Field(description="`status.retries` of the run when the Workflow ended.")
    workflow_uid: Annotated[str, Field(alias="workflowUID", min_length=1, max_length=64)] = Field(
        description="UID of the Workflow."
    )
    data: Annotated[str, Field(min_length=1, max_length=MAX_SNAPSHOT)] = Field(
        description="The Workflow with all its nodes: JSON, compressed with gzip, in base64."
    )
