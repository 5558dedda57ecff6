"""CEL validation rules of the CRDs (`x-kubernetes-validations`), each with a message that says what to write.

The API server evaluates them, so `kubectl apply --dry-run=server` finds a bad run without a webhook.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from runwright.api.duration import DURATION_PATTERN
from runwright.api.pipelinerun import DIGEST_PATTERN, MAX_NAME
from runwright.api.retentionpolicy import POLICY_NAME

Reason = Literal["FieldValueForbidden", "FieldValueRequired"]
"""The API server prints `field: Forbidden: message`. (FieldValueInvalid would add `"object"` as the value.)"""


@dataclass(frozen=True, slots=True)
class Rule:
    """One CEL rule.

    `path` is the field that has the rule in its schema ("" is the resource itself); `self` is its value. A rule that uses
    `oldSelf` is evaluated on updates only. `field_path` is the field that the error names, relative to `path`.
    """

    path: str
    expression: str
    message: str
    reason: Reason = "FieldValueForbidden"
    field_path: str = ""


# The values in `spec.workflow.spec` have no schema, so CEL's type of `spec.workflow` has no field `spec`; `dyn` reads it from
# the value. (A field of type object with x-kubernetes-preserve-unknown-fields would have a type, but its equality is
# unsound: {a: 1} == {b: 1} is true in Kubernetes 1.34, so an inline spec could be changed after its creation.)
_SOURCES_SET = "[has(self.manifest), has(dyn(self).spec), has(self.templateRef), has(self.manifestFrom)].filter(is_set, is_set).size()"
_ENDED = (
    "has(oldSelf.status) && has(oldSelf.status.phase) && "
    "oldSelf.status.phase in ['Succeeded', 'Skipped', 'Failed', 'Error']"
)
_FAILED = "has(oldSelf.status) && has(oldSelf.status.phase) && oldSelf.status.phase in ['Failed', 'Error']"
_ACCEPTED = "has(oldSelf.status) && has(oldSelf.status.workflow)"
_FROZEN = "cannot change once the run's Workflow was created: apply a PipelineRun of another name instead"
_RAISED = "self.spec.retries > oldSelf.spec.retries"
_SAME_MANIFEST = (
    "has(self.spec.workflow.manifestFrom) && has(self.spec.workflow.manifestFrom.digest) && "
    "has(oldSelf.spec.workflow.manifestFrom) && has(oldSelf.spec.workflow.manifestFrom.digest) && "
    "self.spec.workflow.manifestFrom.digest == oldSelf.spec.workflow.manifestFrom.digest"
)
_NEXT_ATTEMPT = "(has(oldSelf.status.retries) ? oldSelf.status.retries : 0) + 1"


def _frozen(field: str) -> Rule:
    """Makes an optional field of spec immutable once the run has a Workflow."""
    return Rule(
        path="",
        field_path=f".spec.{field}",
        expression=f"!({_ACCEPTED}) || (has(self.spec.{field}) ? "
        f"has(oldSelf.spec.{field}) && self.spec.{field} == oldSelf.spec.{field} : !has(oldSelf.spec.{field}))",
        message=_FROZEN,
    )


PIPELINE_RUN_RULES: tuple[Rule, ...] = (
    Rule(
        path="",
        field_path=".metadata.name",
        expression=f"size(self.metadata.name) <= {MAX_NAME}",
        message=f"use a name of at most {MAX_NAME} characters: it is also the Workflow's name and the value of a label",
    ),
    Rule(
        path="spec.workflow",
        expression=f"{_SOURCES_SET} > 0",
        message="set one of manifest, spec, templateRef and manifestFrom: without one there is nothing to run",
        reason="FieldValueRequired",
    ),
    Rule(
        path="spec.workflow",
        expression=f"{_SOURCES_SET} < 2",
        message="set only one of manifest, spec, templateRef and manifestFrom",
    ),
    Rule(
        path="spec.workflow.manifestFrom",
        expression="has(self.pipelineManifestRef) != has(self.configMapKeyRef)",
        message="set exactly one of pipelineManifestRef and configMapKeyRef",
    ),
    Rule(
        path="",
        field_path=".spec.workflow",
        expression=f"!({_ACCEPTED}) || self.spec.workflow == oldSelf.spec.workflow || ({_SAME_MANIFEST})",
        message=_FROZEN,
    ),
    _frozen("parameters"),
    _frozen("serviceAccountName"),
    Rule(
        path="spec",
        field_path=".retries",
        expression="self.retries >= oldSelf.retries",
        message="only grows: to retry a failed run, set it to status.retries + 1; leave it out of manifests that are "
        "applied repeatedly",
    ),
    Rule(
        path="",
        field_path=".spec.retries",
        expression=f"!({_RAISED}) || ({_FAILED})",
        message="cannot be raised now: only a run whose status.phase is Failed or Error can be retried; keep it as it is",
    ),
    Rule(
        path="",
        field_path=".spec.retries",
        expression=f"!({_RAISED}) || !({_FAILED}) || self.spec.retries <= {_NEXT_ATTEMPT}",
        message="cannot be raised so far: set it to status.retries + 1, for one retry at a time",
    ),
    Rule(
        path="",
        field_path=".spec.shutdown",
        expression=f"!({_RAISED}) || !has(self.spec.shutdown)",
        message="remove spec.shutdown in the same edit: otherwise it would end the retry at once",
    ),
    Rule(
        path="",
        field_path=".spec.shutdown",
        expression=f"!({_ENDED}) || {_RAISED} || !has(self.spec.shutdown) || "
        "(has(oldSelf.spec.shutdown) && self.spec.shutdown == oldSelf.spec.shutdown)",
        message="cannot be set on a run that has ended: there is nothing left to shut down",
    ),
    Rule(
        path="spec",
        field_path=".shutdown",
        expression="!has(oldSelf.shutdown) || self.retries > oldSelf.retries || (has(self.shutdown) && "
        "(oldSelf.shutdown == 'Stop' || self.shutdown == oldSelf.shutdown))",
        message="cannot be removed, nor changed from Terminate to Stop: keep it, or raise spec.retries in the same "
        "edit to retry the run",
    ),
)

PIPELINE_MANIFEST_RULES: tuple[Rule, ...] = (
    Rule(
        path="manifest",
        expression="self == oldSelf",
        message="cannot change: keep it, and create a PipelineManifest of another name",
    ),
)

RETENTION_POLICY_RULES: tuple[Rule, ...] = (
    Rule(
        path="",
        field_path=".metadata.name",
        expression=f"self.metadata.name == '{POLICY_NAME}'",
        message=f"use the name {POLICY_NAME}: a namespace has at most one RetentionPolicy, and it has that name",
    ),
)

PATTERN_MESSAGES: dict[str, str] = {
    DURATION_PATTERN: "write a duration as numbers with units (ms, s, m, h, d), such as 90s, 15m, 36h, 7d or 1h30m",
    DIGEST_PATTERN: "write the digest as sha256: and 64 lower-case hex digits, as sha256sum prints them",
}
"""Messages of patterns. A pattern becomes a CEL rule, because the API server's own message only quotes the expression."""
