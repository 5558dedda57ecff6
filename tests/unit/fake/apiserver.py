"""An API server in memory, with the semantics that Runwright leans on: what a real one does is in tests/e2e.

Objects are never changed in place: a write makes new ones, so what was given out stays what it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from runwright.api.pipelinerun import RUN_LABEL
from runwright.ports import ApiError

Json = Mapping[str, Any]
Kind = Literal["PipelineRun", "Workflow", "ConfigMap", "ServiceAccount", "WorkflowTemplate", "ClusterWorkflowTemplate"]
Id = tuple[str, str, str]
"""Kind, namespace and name."""


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of etcd's log, as a watch tells it."""

    version: int
    type: Literal["ADDED", "MODIFIED", "DELETED"]
    kind: str
    body: Json
    old: Json | None

    @property
    def uid(self) -> str:
        return self.body["metadata"]["uid"]


class ApiServer:
    """Objects, the log of their changes, and how many calls of each kind were made."""

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
        """Calls by verb and resource, refused ones too."""
        self.argo_installed = True
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

    def list(self, kind: str, label: str | None = None) -> list[Json]:
        """All objects of a kind, by namespace and name; with a label, those that have it."""
        self._check_served(kind)
        found = [body for (of, _, _), body in sorted(self.objects.items(), key=lambda item: item[0]) if of == kind]
        return [body for body in found if label is None or label in labels_of(body)]

    def since(self, version: int, kind: str, label: str | None = None) -> list[Change]:
        """What a watch from this resource version replays."""
        changes = (change for change in self.changes if change.version > version and change.kind == kind)
        return [selected for change in changes if (selected := select(change, label))]

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
        """Replace whole parts (`spec`, `status`, `data`, `labels`) of an object; nothing happens where all are the same.

        Raises ApiError 422 for an edit of `spec.workflow` that the CRD's rule refuses.
        """
        old = self._existing(kind, namespace, name)
        metadata = dict(old["metadata"])
        if "labels" in parts:
            metadata["labels"] = parts.pop("labels")
        new = {**old, **parts, "metadata": metadata}
        if new == old:
            return old
        if kind == "PipelineRun" and new.get("spec") != old.get("spec"):
            accepted = old.get("status", {}).get("workflow")
            if accepted and new["spec"]["workflow"] != old["spec"]["workflow"]:
                raise ApiError(422, "Invalid", "spec.workflow: cannot change once the run's Workflow was created")
            metadata["generation"] += 1
        return self._commit("MODIFIED", kind, new, old)

    def patch_status(self, kind: str, namespace: str, name: str, patch: Json, version: str = "") -> Json:
        """Merge `patch` (RFC 7386) into the status; other parts stay, and a patch without effect is no change.

        Raises ApiError: 404, or 409 Conflict where `version` is given and not the object's.
        """
        old = self._existing(kind, namespace, name)
        if version not in ("", old["metadata"]["resourceVersion"]):
            raise ApiError(409, "Conflict", f'{kind} "{name}": the object has been modified')
        status = merged(old.get("status", {}), patch)
        if status == old.get("status", {}):
            return old
        return self._commit("MODIFIED", kind, {**old, "status": status}, old)

    def delete(self, kind: str, namespace: str, name: str, uid: str = "", version: str = "") -> None:
        """Delete, in the background: what the object owns goes with `collect`.

        Raises ApiError: 404, or 409 Conflict where a precondition does not hold.
        """
        old = self._existing(kind, namespace, name)
        if uid not in ("", old["metadata"]["uid"]) or version not in ("", old["metadata"]["resourceVersion"]):
            raise ApiError(409, "Conflict", f'{kind} "{name}": the precondition does not hold')
        del self.objects[kind, namespace, name]
        self._commit("DELETED", kind, old, old)

    def post_event(self, namespace: str, name: str, event: Json) -> bool:
        """Post a Kubernetes Event; false where it is there already."""
        if (namespace, name) in self.events:
            return False
        self.events[namespace, name] = event
        return True

    def collect(self) -> int:
        """What the garbage collector does, once: delete what no existing object owns any more; gives how many."""
        existing = {body["metadata"]["uid"] for body in self.objects.values()}
        orphans = [
            id
            for id, body in self.objects.items()
            if (owners := body["metadata"].get("ownerReferences")) and all(o["uid"] not in existing for o in owners)
        ]
        for id in orphans:
            self.delete(*id)
        return len(orphans)

    # --------------------------------------------------------------------------------------------------------- inside

    def _check_served(self, kind: str) -> None:
        if "Workflow" in kind and not self.argo_installed:
            raise ApiError(404, "Unknown", "404 page not found")

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


def select(change: Change, label: str | None = RUN_LABEL) -> Change | None:
    """The change as a watch with a label selector tells it: what enters the selection is ADDED, what leaves DELETED."""
    if label is None:
        return change
    was, now = label in labels_of(change.old), label in labels_of(change.body)
    if change.type == "DELETED":
        return change if was else None
    if was and not now:
        return Change(change.version, "DELETED", change.kind, change.body, change.old)
    if now and not was:
        return Change(change.version, "ADDED", change.kind, change.body, change.old)
    return change if now else None


def merged(target: Any, patch: Any) -> Any:
    """JSON merge patch, as RFC 7386 writes it down."""
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
    """Kubernetes' form of a time: whole seconds."""
    return at.replace(microsecond=0).isoformat().replace("+00:00", "Z")
