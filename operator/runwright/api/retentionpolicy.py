"""`RetentionPolicy` (`runwright.dev/v1alpha1`): retention of the runs of a namespace that do not set their own."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from runwright.api.model import Duration, Model
from runwright.api.resources import API_VERSION, RETENTION_POLICIES

KIND = "RetentionPolicy"
PLURAL = RETENTION_POLICIES.plural

POLICY_NAME = "default"
"""The only allowed name of a policy: a namespace has at most one."""

MAX_KEPT = 100_000

Kept = Annotated[int, Field(ge=0, le=MAX_KEPT)]


class RetentionPolicySpec(Model):
    """Retention of runs. For an absent field, the operator uses its own default, which command-line options set."""

    archive_after: Duration | None = Field(
        default=None,
        description="Archive a run this long after its end, if the run does not set `spec.retention.archiveAfter`.",
    )
    delete_after: Duration | None = Field(
        default=None,
        description="Delete a run this long after its end, if the run does not set `spec.retention.deleteAfter`. A run that "
        "a GitOps tool or Helm manages is archived instead.",
    )
    keep_workflow: Duration | None = Field(
        default=None,
        description="Delete the Workflow and the pods of a run this long after the end of the run, if the run does not set "
        "`spec.retention.keepWorkflow`.",
    )
    keep_succeeded: Kept | None = Field(
        default=None,
        description="Keep this many of the Succeeded and Skipped runs that are not archived, and delete those that ended "
        "earlier. A run that a GitOps tool or Helm manages is archived instead.",
    )
    keep_failed: Kept | None = Field(
        default=None,
        description="Keep this many of the Failed and Error runs that are not archived, and delete those that ended "
        "earlier. A run that a GitOps tool or Helm manages is archived instead.",
    )


class RetentionPolicy(Model):
    """A RetentionPolicy named `default` sets the retention of the runs in its namespace that do not set their own."""

    api_version: str = API_VERSION
    kind: str = KIND
    metadata: dict[str, Any] = Field(default_factory=dict[str, Any])
    spec: RetentionPolicySpec = Field(
        description="Retention of runs, counted from their end. The operator never archives or deletes an unfinished run."
    )
