"""An in-memory API server with the semantics that Runwright needs; tests/e2e check them on a real one.

A write never changes an object in place, so returned objects stay as they are.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Literal

from runwright.kube.errors import ApiError

Json = Mapping[str, Any]
ARGOS_KINDS = ("Workflow", "WorkflowTemplate", "ClusterWorkflowTemplate", "WorkflowTaskResult")
WITH_STATUS = ("PipelineRun",)
"""Kinds that have `status` as a subresource, which only its own requests write."""
GRACEFUL_KINDS = ("Pod",)
"""Kinds that a deletion only marks; the kubelet removes them."""
FINISHED = ("Succeeded", "Skipped", "Failed", "Error")
Id = tuple[str, str, str]
"""Kind, namespace and name."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change of an object, as a watch reports it."""

    version: int
    type: Literal["ADDED", "MODIFIED", "DELETED"]
    kind: str
    body: Json
    old: Json | None

    @property
    def uid(self) -> str:
        return self.body["metadata"]["uid"]


class ApiServer:
    """Objects, the log of their changes, and the number of calls."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._version = 0
        self._uids = 0
        self.objects: dict[Id, Json] = {}
        self.changes: list[Change] = []
        self.listeners: list[Callable[[Change], None]] = []
        self.events: dict[tuple[str, str], Json] = {}
        """Kubernetes Events by namespace and name."""
        self.calls: Counter[tuple[str, str]] = Counter()
        """Number of calls by verb and resource, including refused ones."""
        self.argo_installed = True
        self.compacted = 0
        """The oldest resource version from which a watch can start."""
        self.terminating: set[str] = set()
        """Namespaces that are being deleted."""

    @property
    def version(self) -> int:
        """The resource version of the last change."""
        return self._version

    # ---------------------------------------------------------------------------------------------------------- reads

    def get(self, kind: str, namespace: str, name: str) -> Json | None:
        """The object, or None. Raises ApiError 404 for a kind of Argo's that is not served."""
        self._check_served(kind)
        return self.objects.get((kind, namespace, name))

    def list(self, kind: str, labels: str = "", fields: str = "") -> list[Json]:
        """The objects of a kind that the two selectors select, by namespace and name."""
        self._check_served(kind)
        found = sorted(id for id in self.objects if id[0] == kind)
        return [
            body
            for body in (self.objects[id] for id in found)
            if selects(labels, labels_of(body)) and selects_fields(fields, body)
        ]

    def since(self, version: int, kind: str, labels: str = "") -> list[Change]:
        """What a watch from this resource version replays."""
        changes = (change for change in self.changes if change.version > version and change.kind == kind)
        return [selected for change in changes if (selected := select(change, labels))]

    # --------------------------------------------------------------------------------------------------------- writes

    def create(self, kind: str, body: Json) -> Json:
        """Store a new object. Raises ApiError: 404 kind not served, 403 namespace being deleted, 409 AlreadyExists."""
        self._check_served(kind)
        metadata = dict(body["metadata"])
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        if namespace in self.terminating:
            raise ApiError(
                403,
                "Forbidden",
                f'{kind} "{name}" is forbidden: unable to create new content in namespace {namespace} because it is '
                "being terminated",
                ("NamespaceTerminating",),
            )
        if (kind, namespace, name) in self.objects:
            raise ApiError(409, "AlreadyExists", f'{kind} "{name}" already exists')
        self._uids += 1
        metadata |= {
            "uid": f"uid-{self._uids}",
            "generation": 1,
            "creationTimestamp": timestamp(self._now()),
        }
        return self._commit("ADDED", kind, {**body, "kind": kind, "metadata": metadata}, None)

    def replace(self, kind: str, namespace: str, name: str, **parts: Any) -> Json:
        """Replace whole parts (`spec`, `status`, `data`, `labels`) of an object; equal parts make no change.

        Raises ApiError 422 for an edit of a run that a rule of the CRD refuses.
        """
        old = self._existing(kind, namespace, name)
        metadata = dict(old["metadata"])
        if "labels" in parts:
            metadata["labels"] = parts.pop("labels")
        return self._replace(kind, old, {**old, **parts, "metadata": metadata})

    def update(self, kind: str, body: Json) -> Json:
        """Replace the object, as PUT does; only the API server's own metadata stays.

        Raises ApiError: 404, 422 where the body names no resourceVersion, 409 Conflict where that or a uid is not the
        object's.
        """
        metadata = body["metadata"]
        old = self._existing(kind, metadata.get("namespace", ""), metadata["name"])
        if not metadata.get("resourceVersion"):
            raise ApiError(
                422, "Invalid", "metadata.resourceVersion: Invalid value: 0: must be specified for an update"
            )
        self._check_version(old, metadata["resourceVersion"], metadata.get("uid", ""))
        kept = ("uid", "generation", "creationTimestamp", "deletionTimestamp", "resourceVersion")
        metadata = {**metadata, **{name: old["metadata"][name] for name in kept if name in old["metadata"]}}
        return self._replace(kind, old, {**body, "kind": kind, "metadata": metadata})

    def patch(self, kind: str, namespace: str, name: str, patch: Json, subresource: str = "") -> Json:
        """Merge `patch` (RFC 7386); a patch without effect is no change.

        Raises ApiError: 404, 409 Conflict where a uid or resourceVersion in it is not the object's, and 422 as `replace`.
        """
        old = self._existing(kind, namespace, name)
        metadata = patch.get("metadata", {})
        self._check_version(old, metadata.get("resourceVersion", ""), metadata.get("uid", ""))
        if subresource:
            return self.patch_status(kind, namespace, name, patch.get(subresource, {}))
        written = {part: value for part, value in patch.items() if part != "status" or kind not in WITH_STATUS}
        return self._replace(kind, old, merged(old, written))

    def patch_labels(
        self, kind: str, namespace: str, name: str, labels: Mapping[str, str | None], version: str = ""
    ) -> Json:
        """Merge the labels; None removes one. Raises ApiError as `patch_status` does."""
        old = self._existing(kind, namespace, name)
        self._check_version(old, version)
        metadata = {**old["metadata"], "labels": merged(labels_of(old), labels)}
        return self._replace(kind, old, {**old, "metadata": metadata})

    def _replace(self, kind: str, old: Json, new: dict[str, Any]) -> Json:
        if without_empty_labels(new) == without_empty_labels(old):
            return old
        if kind == "PipelineRun" and new.get("spec") != old.get("spec"):
            check_rules(old, new)
            new["metadata"] = {**new["metadata"], "generation": old["metadata"]["generation"] + 1}
        return self._commit("MODIFIED", kind, new, old)

    def patch_status(self, kind: str, namespace: str, name: str, patch: Json, version: str = "") -> Json:
        """Merge `patch` (RFC 7386) into the status; other parts stay, and a patch without effect is no change.

        Raises ApiError: 404, or 409 Conflict where `version` is given and not the object's.
        """
        old = self._existing(kind, namespace, name)
        self._check_version(old, version)
        status = merged(old.get("status", {}), patch)
        if status == old.get("status", {}):
            return old
        return self._commit("MODIFIED", kind, {**old, "status": status}, old)

    def delete(self, kind: str, namespace: str, name: str, uid: str = "", version: str = "") -> None:
        """Delete in the background: `collect` deletes owned objects. A pod is only marked; `remove` removes it.

        Raises ApiError: 404, or 409 Conflict where a precondition does not hold.
        """
        old = self._existing(kind, namespace, name)
        self._check_version(old, version, uid)
        if kind not in GRACEFUL_KINDS:
            self.remove(kind, namespace, name)
        elif "deletionTimestamp" not in old["metadata"]:
            metadata = {**old["metadata"], "deletionTimestamp": timestamp(self._now())}
            self._commit("MODIFIED", kind, {**old, "metadata": metadata}, old)

    def remove(self, kind: str, namespace: str, name: str) -> None:
        """Remove the object at once. Raises ApiError 404."""
        old = self._existing(kind, namespace, name)
        del self.objects[kind, namespace, name]
        self._commit("DELETED", kind, old, old)

    def post_event(self, namespace: str, name: str, event: Json) -> bool:
        """Post a Kubernetes Event; false if it exists."""
        if (namespace, name) in self.events:
            return False
        self.events[namespace, name] = event
        return True

    def collect(self) -> int:
        """Run the garbage collector once: delete the objects without an existing owner. Returns their number."""
        existing = {body["metadata"]["uid"] for body in self.objects.values()}
        orphans = [
            id
            for id, body in self.objects.items()
            if (owners := body["metadata"].get("ownerReferences"))
            and "deletionTimestamp" not in body["metadata"]
            and all(owner["uid"] not in existing for owner in owners)
        ]
        for id in orphans:
            self.delete(*id)
        return len(orphans)

    # --------------------------------------------------------------------------------------------------------- inside

    def _check_served(self, kind: str) -> None:
        if kind in ARGOS_KINDS and not self.argo_installed:
            raise ApiError(404, "Unknown", "404 page not found")

    def _check_version(self, body: Json, version: str, uid: str = "") -> None:
        metadata = body["metadata"]
        if version not in ("", metadata["resourceVersion"]) or uid not in ("", metadata["uid"]):
            raise ApiError(409, "Conflict", f'{body["kind"]} "{metadata["name"]}": the precondition does not hold')

    def _existing(self, kind: str, namespace: str, name: str) -> Json:
        body = self.get(kind, namespace, name)
        if body is None:
            raise ApiError(404, "NotFound", f'{kind} "{name}" not found')
        return body

    def _commit(self, type: Literal["ADDED", "MODIFIED", "DELETED"], kind: str, body: Json, old: Json | None) -> Json:
        self._version += 1
        metadata = {**body["metadata"], "resourceVersion": str(self._version)}
        stored = {**body, "metadata": metadata}
        if type != "DELETED":
            self.objects[kind, metadata.get("namespace", ""), metadata["name"]] = stored
        change = Change(self._version, type, kind, stored, old)
        self.changes.append(change)
        for listener in list(self.listeners):
            listener(change)
        return stored


def labels_of(body: Json | None) -> Json:
    return (body or {}).get("metadata", {}).get("labels") or {}


def without_empty_labels(body: Json) -> Json:
    return {**body, "metadata": {**body["metadata"], "labels": labels_of(body)}}


REQUIREMENT = re.compile(r"(!?[^!=\s,]+)(?:\s+in\s+\(([^)]*)\)|(!?=)([^,]*))?(?:,|$)")


@cache
def requirements(selector: str) -> list[tuple[str, str, str, str]]:
    """Key, values of `in`, operator and value of each requirement."""
    return REQUIREMENT.findall(selector)


def selects(selector: str, labels: Json) -> bool:
    """Whether a label selector selects: `a`, `!a`, `a=b`, `a!=b` and `a in (b,c)`, joined by commas."""
    for name, values, operator, value in requirements(selector):
        if name.startswith("!"):
            fits = name[1:] not in labels
        elif operator == "!=":
            fits = labels.get(name) != value
        elif operator == "=":
            fits = labels.get(name) == value
        else:
            fits = name in labels and (not values or labels[name] in values.split(","))
        if not fits:
            return False
    return True


def selects_fields(selector: str, body: Json) -> bool:
    """Whether a field selector selects: `a.b=c` and `a.b!=c`, joined by commas; an absent field is the empty string."""
    for path, _, operator, value in requirements(selector):
        found: Any = body
        for name in path.split("."):
            found = found.get(name, "") if isinstance(found, Mapping) else ""
        if (found == value) is (operator == "!="):
            return False
    return True


def select(change: Change, labels: str = "") -> Change | None:
    """The change as a watch with a label selector reports it: an object that enters the selection is ADDED, one that leaves is DELETED.

    The object that leaves is as it was before, with the version of the change (Kubernetes 1.34).
    """
    was = change.old is not None and selects(labels, labels_of(change.old))
    now = change.type != "DELETED" and selects(labels, labels_of(change.body))
    if change.type == "DELETED":
        return change if was else None
    if change.old is not None and was and not now:
        metadata = {**change.old["metadata"], "resourceVersion": str(change.version)}
        return Change(change.version, "DELETED", change.kind, {**change.old, "metadata": metadata}, change.old)
    if now and not was:
        return Change(change.version, "ADDED", change.kind, change.body, change.old)
    return change if now else None


def check_rules(old: Json, new: Json) -> None:
    """Check an edit of a run's spec by the CRD's rules. Raises ApiError 422."""
    status, before, after = old.get("status", {}), old["spec"], new["spec"]
    phase, asked = status.get("phase"), after.get("retries", 0)
    retried = asked > before.get("retries", 0)
    broken = {
        "spec.workflow: cannot change once the run's Workflow was created": status.get("workflow")
        and after["workflow"] != before["workflow"],
        "spec.retries: only grows": asked < before.get("retries", 0),
        "spec.retries: cannot be raised now": retried and phase not in ("Failed", "Error"),
        "spec.retries: cannot be raised so far": retried and asked > status.get("retries", 0) + 1,
        "spec.shutdown: remove it in the same edit": retried and after.get("shutdown"),
        "spec.shutdown: cannot be set on a run that has ended": phase in FINISHED
        and not retried
        and after.get("shutdown") not in (None, before.get("shutdown")),
        "spec.shutdown: cannot be removed": not retried
        and (before.get("shutdown"), after.get("shutdown"))
        in (("Stop", None), ("Terminate", None), ("Terminate", "Stop")),
    }
    for message, holds in broken.items():
        if holds:
            raise ApiError(422, "Invalid", message)


def merged(target: Any, patch: Any) -> Any:
    """The target with a JSON merge patch (RFC 7386) applied."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def timestamp(at: datetime) -> str:
    """A time as Kubernetes writes it, in whole seconds."""
    return at.replace(microsecond=0).isoformat().replace("+00:00", "Z")
