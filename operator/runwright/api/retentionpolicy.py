"""`RetentionPolicy` (`runwright.dev/v1alpha1`): how long the runs of a namespace are kept that do not say so themselves."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from runwright.api.duration import Duration
from runwright.api.model import Model
from runwright.api.resources import API_VERSION, RETENTION_POLICIES

KIND = "RetentionPolicy"
PLURAL = RETENTION_POLICIES.plural

POLICY_NAME = "default"
"""The only name that a policy may have: a namespace has one or none."""

MAX_KEPT = 100_000

Kept = Annotated[int, Field(ge=0, le=MAX_KEPT)]


class RetentionPolicySpec(Model):
    """How long runs are kept. A field that is absent leaves it to the operator's own default, which its flags name."""

    archive_after: Duration | None = Field(
        default=None,
        description="Archive a run this long after its end. For a run that does not set its own `spec.retention.archiveAfter`.",
    )
    delete_after: Duration | None = Field(
        default=None,
        description="Delete a run this long after its end; one that a GitOps tool owns is archived instead. For a run "
        "that does not set its own `spec.retention.deleteAfter`.",
    )
    keep_workflow: Duration | None = Field(
        default=None,
        description="Delete the Workflow of a run and its pods this long after the end of the run. For a run that does "
        "not set its own `spec.retention.keepWorkflow`.",
    )
    keep_succeeded: Kept | None = Field(
        default=None,
        description="Keep this many of the runs that ended as Succeeded or Skipped and are not archived, the last ones; "
        "delete those before them. One that a GitOps tool owns is archived instead.",
    )
    keep_failed: Kept | None = Field(
        default=None,
        description="Keep this many of the runs that ended as Failed or Error and are not archived, the last ones; "
        "delete those before them. One that a GitOps tool owns is archived instead.",
    )


class RetentionPolicy(Model):
    """The RetentionPolicy `default` of a namespace says how long its runs are kept that do not say so themselves."""

    api_version: str = API_VERSION
    kind: str = KIND
    metadata: dict[str, Any] = Field(default_factory=dict[str, Any])
    spec: RetentionPolicySpec = Field(
        description="How long runs are kept, counted from their end. Unfinished runs are never touched."
    )
