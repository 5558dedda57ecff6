"""Builds the Workflow of a PipelineRun, or names the objects to read first, or says why it cannot be built."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, cast

from runwright.api.labels import MANIFEST_LABEL, RUN_LABEL, SHARD_LABEL
from runwright.api.pipelinerun import KIND, MAX_NAME, ManifestFrom, PipelineRun, WorkflowSource
from runwright.api.resources import API_VERSION
from runwright.core.records import Refusal
from runwright.core.workflow import kfp
from runwright.core.workflow.expect import (
    Refused,
    expect_list,
    expect_mapping,
    expect_object_name,
    expect_text,
    json_type,
    mark_healing,
    quote,
    quote_all,
)
from runwright.core.workflow.kube_yaml import UnreadableTextError, check_depth
from runwright.core.workflow.manifest import WORKFLOW_API_VERSION, WORKFLOW_KIND, digest_of, read_manifest
from runwright.core.workflow.metadata import carried_metadata, drop_reserved
from runwright.core.workflow.parameters import set_parameters
from runwright.kube.objects import incompleteness, labels_of

MAX_WORKFLOW = 1_400_000
"""Bytes of a new Workflow's JSON. etcd refuses objects over 1.5 MiB, and Argo adds the status."""

Object = Mapping[str, Any]
ObjectKind = Literal["PipelineManifest", "ConfigMap", "ServiceAccount", "WorkflowTemplate", "ClusterWorkflowTemplate"]


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """An object that is needed to build the Workflow."""

    kind: ObjectKind
    name: str
    namespace: str = ""
    """Empty for a cluster-scoped object."""

    def __str__(self) -> str:
        return f"{self.kind} {quote(self.name)}" + (f" in namespace {quote(self.namespace)}" if self.namespace else "")


@dataclass(frozen=True, slots=True)
class Needs:
    """The objects to read before the Workflow can be built."""

    objects: tuple[ObjectRef, ...]


@dataclass(frozen=True, slots=True)
class Built:
    """The complete Workflow to create."""

    workflow: dict[str, Any]


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """Options of the installation that apply to all runs."""

    default_service_account: str = ""
    """Service account for runs that set none; empty: the namespace's `default`."""
    shard: str = ""
    """The shard of the runs; empty without shards."""


def build_workflow(
    run: PipelineRun, objects: Mapping[ObjectRef, Object | None], options: BuildOptions
) -> Built | Needs | Refusal:
    """Builds the Workflow of `run`. `objects` are the objects read so far; None: the object does not exist.

    Equal inputs give equal Workflows: it uses neither the clock nor random numbers. Never raises, whatever the run and the
    objects contain. If it returns `Needs`, read these objects and call it again, at most three times.
    """
    try:
        return _Build(run, objects, options).workflow()
    except _Unread as unread:
        return Needs(unread.refs)
    except Refused as refused:
        return refused.refusal


class _Unread(Exception):  # noqa: N818 - more objects are needed, which is not an error
    def __init__(self, refs: tuple[ObjectRef, ...]) -> None:
        super().__init__(refs)
        self.refs = refs


@dataclass(frozen=True, slots=True)
class _Build:
    run: PipelineRun
    objects: Mapping[ObjectRef, Object | None]
    options: BuildOptions

    def workflow(self) -> Built:
        source = self.run.spec.workflow
        given = [
            name for name in ("manifest", "spec", "template_ref", "manifest_from") if getattr(source, name) is not None
        ]
        if len(given) != 1:
            found = quote_all(WorkflowSource.model_fields[name].alias or name for name in given) or "none"
            raise Refused(
                "SourceInvalid",
                f"spec.workflow: expected exactly one of manifest, spec, templateRef and manifestFrom, found {found}",
            )
        self._read(*self._named_by_the_run())
        # An error in a ConfigMap can be fixed in the ConfigMap, unless the run fixes its digest.
        shared = source.manifest_from
        from_config_map = shared is not None and shared.pipeline_manifest_ref is None and shared.digest is None
        with mark_healing(from_config_map):
            workflow = self._source(source)
            spec = expect_mapping(workflow.get("spec"), "spec")
            is_kfp = kfp.is_compiled_by_kfp(expect_mapping(workflow.get("metadata"), "metadata", "MetadataInvalid"))
            template = self._template_spec(spec)
            self._set_service_account(spec, template, is_kfp)
        with mark_healing(from_config_map or template is not None):
            _check_entrypoint(spec, template)
            set_parameters(spec, self.run.spec.parameters or (), template)
            drop_reserved(spec, template)
            workflow["metadata"] = self._metadata(workflow)
            if is_kfp:
                workflow = kfp.complete_kfp_workflow(workflow, self._own("uid"), self._run_name(), self._created_at())
            _check_size(workflow)
        return Built(workflow)

    def _own(self, field: str) -> str:
        value = self.run.metadata.get(field)
        return value if isinstance(value, str) else ""

    def _run_name(self) -> str:
        return self.run.spec.display_name or self._own("name")

    def _created_at(self) -> datetime | None:
        try:
            created_at = datetime.fromisoformat(self._own("creationTimestamp"))
            return created_at.astimezone(UTC) if created_at.tzinfo else created_at.replace(tzinfo=UTC)
        except (ValueError, OverflowError):
            return None

    # ------------------------------------------------------------------------------------------------- other objects

    def _read(self, *refs: ObjectRef) -> None:
        unread = tuple(dict.fromkeys(ref for ref in refs if ref not in self.objects))
        if unread:
            raise _Unread(unread)

    def _found(self, ref: ObjectRef, reason: str, path: str) -> Object:
        self._read(ref)
        found = self.objects[ref]
        if found is None:
            raise Refused(reason, f"{path}: there is no {ref}; expected one, create it or name another", heals=True)
        if mark := incompleteness(found):
            raise Refused(mark.reason, f"{path}: {ref} cannot be used: {mark.message}", heals=True)
        return found

    def _ref(self, kind: ObjectKind, name: str, path: str) -> ObjectRef:
        namespace = "" if kind == "ClusterWorkflowTemplate" else self._own("namespace")
        return ObjectRef(kind, expect_object_name(name, path), namespace)

    def _named_by_the_run(self) -> list[ObjectRef]:
        """The objects that the run itself names, to read them together."""
        source, account = self.run.spec.workflow, self.run.spec.service_account_name
        refs: list[ObjectRef] = []
        if source.manifest_from:
            refs.append(self._manifest_ref(source.manifest_from)[0])
        if source.template_ref:
            kind = "ClusterWorkflowTemplate" if source.template_ref.cluster_scope else "WorkflowTemplate"
            refs.append(self._ref(kind, source.template_ref.name, "spec.workflow.templateRef.name"))
        if account and account != "default":
            refs.append(self._ref("ServiceAccount", account, "spec.serviceAccountName"))
        return refs

    # ------------------------------------------------------------------------------------------------------- sources

    def _source(self, source: WorkflowSource) -> dict[str, Any]:
        workflow: dict[str, Any] = {"apiVersion": WORKFLOW_API_VERSION, "kind": WORKFLOW_KIND, "metadata": {}}
        if source.manifest is not None:
            found = read_manifest(source.manifest, "spec.workflow.manifest")
            return workflow | {"metadata": found.get("metadata") or {}, "spec": found["spec"]}
        if source.manifest_from is not None:
            found = self._shared_manifest(source.manifest_from)
            return workflow | {"metadata": found.get("metadata") or {}, "spec": found["spec"]}
        if source.template_ref is not None:
            reference = {"name": source.template_ref.name, "clusterScope": source.template_ref.cluster_scope}
            # The label that `argo submit --from` sets (Argo v3.7).
            scope = "cluster-workflow-template" if source.template_ref.cluster_scope else "workflow-template"
            fits = len(source.template_ref.name) <= MAX_NAME  # a label's value
            labels = {f"workflows.argoproj.io/{scope}": source.template_ref.name} if fits else {}
            return workflow | {"metadata": {"labels": labels}, "spec": {"workflowTemplateRef": reference}}
        return workflow | {"spec": _copy(source.spec, "spec.workflow.spec")}

    def _manifest_ref(self, source: ManifestFrom) -> tuple[ObjectRef, str]:
        """The object that holds the manifest, and the path of its name."""
        path = "spec.workflow.manifestFrom"
        manifest, config_map = source.pipeline_manifest_ref, source.config_map_key_ref
        if manifest is not None and config_map is None:
            path = f"{path}.pipelineManifestRef.name"
            return self._ref("PipelineManifest", manifest.name, path), path
        if config_map is not None and manifest is None:
            path = f"{path}.configMapKeyRef.name"
            return self._ref("ConfigMap", config_map.name, path), path
        raise Refused("SourceInvalid", f"{path}: expected exactly one of pipelineManifestRef and configMapKeyRef")

    def _shared_manifest(self, source: ManifestFrom) -> dict[str, Any]:
        ref, path = self._manifest_ref(source)
        if source.config_map_key_ref is not None:
            manifest, where = self._from_config_map(ref, source.config_map_key_ref.key, path)
        else:
            manifest, where = self._found(ref, "PipelineManifestNotFound", path).get("manifest"), str(ref)
        if not isinstance(manifest, str):
            raise Refused(
                "SpecInvalid", f"manifest of {where}: expected a string, found {json_type(manifest)}", heals=True
            )
        if source.digest is not None and digest_of(manifest) != source.digest:
            raise Refused(
                "DigestMismatch",
                f"spec.workflow.manifestFrom.digest: expected {source.digest}, but {where} has {digest_of(manifest)}",
                heals=True,
            )
        return read_manifest(manifest, where)

    def _from_config_map(self, ref: ObjectRef, key: str, path: str) -> tuple[object, str]:
        """The value of the key, and its place for messages.

        A ConfigMap without the label is refused as one that does not exist: who may create runs may not read ConfigMaps.
        """
        self._read(ref)
        if MANIFEST_LABEL not in labels_of(self.objects[ref] or {}):
            raise Refused(
                "ConfigMapNotFound",
                f"{path}: there is no {ref} with the label {MANIFEST_LABEL}, from which runs may read manifests; create it, "
                f"or label it: kubectl label configmap -n {ref.namespace} {ref.name} {MANIFEST_LABEL}=true",
                heals=True,
            )
        found = self._found(ref, "ConfigMapNotFound", path)
        data = expect_mapping(found.get("data"), f"data of {ref}", "ConfigMapKeyNotFound")
        if not isinstance(data.get(key), str):
            raise Refused(
                "ConfigMapKeyNotFound",
                f"{path.removesuffix('name')}key: {ref} has no key {quote(key)} in data, only {quote_all(data) or 'none'}",
                heals=True,
            )
        return data[key], f"key {quote(key)} of {ref}"

    def _template_spec(self, spec: Mapping[str, Any]) -> dict[str, Any] | None:
        """The spec of the template that the Workflow refers to, or None."""
        reference = expect_mapping(spec.get("workflowTemplateRef"), "spec.workflowTemplateRef")
        if not reference:
            return None
        path = (
            "spec.workflow.templateRef.name" if self.run.spec.workflow.template_ref else "spec.workflowTemplateRef.name"
        )
        name = expect_text(reference.get("name"), path)
        kind = "ClusterWorkflowTemplate" if reference.get("clusterScope") is True else "WorkflowTemplate"
        ref = self._ref(kind, name, path)
        with mark_healing(True):
            return _copy(self._found(ref, "TemplateNotFound", path).get("spec"), f"spec of {ref}")

    # ------------------------------------------------------------------------------------------------------ Workflow

    def _set_service_account(self, spec: dict[str, Any], template: Mapping[str, Any] | None, is_kfp: bool) -> None:
        """Sets the run's service account, or else keeps the manifest's or template's, or else sets the default."""
        own = expect_text(spec.get("serviceAccountName"), "spec.serviceAccountName")
        inherited = expect_text((template or {}).get("serviceAccountName"), "the template's spec.serviceAccountName")
        unnamed = not (own or inherited) or (is_kfp and own == kfp.SERVICE_ACCOUNT)
        if self.run.spec.service_account_name:
            name, path = self.run.spec.service_account_name, "spec.serviceAccountName"
        elif unnamed and self.options.default_service_account:
            name, path = self.options.default_service_account, "the operator's --default-service-account"
        else:
            name, path = own or inherited, "spec.serviceAccountName of the Workflow"
        if not name:
            return
        if name != inherited or own:
            spec["serviceAccountName"] = name
        # Kubernetes creates `default` with the namespace; only Argo can resolve a name with a variable.
        if name != "default" and "{{" not in name:
            self._found(self._ref("ServiceAccount", name, path), "ServiceAccountNotFound", path)

    def _metadata(self, workflow: Mapping[str, Any]) -> dict[str, Any]:
        """The Workflow's metadata: labels and annotations of the manifest, the other fields from the run.

        The run's own labels and annotations are not copied, and neither are those that other controllers act on.
        """
        metadata = expect_mapping(workflow.get("metadata"), "metadata", "MetadataInvalid")
        annotations = carried_metadata(metadata.get("annotations"), "metadata.annotations")
        labels = carried_metadata(metadata.get("labels"), "metadata.labels")
        built: dict[str, Any] = {
            "name": self._own("name"),
            "namespace": self._own("namespace"),
            "labels": labels | {RUN_LABEL: self._own("name")},
            "ownerReferences": [owner_reference(self._own("name"), self._own("uid"))],
        }
        return built | ({"annotations": annotations} if annotations else {})


def in_shard(workflow: Mapping[str, Any], shard: str) -> dict[str, Any]:
    """The Workflow with the label of this shard, by which the shard's operator watches it; without label if empty."""
    metadata: dict[str, Any] = dict(workflow["metadata"])
    known: dict[str, Any] = metadata.get("labels") or {}
    labels = {key: value for key, value in known.items() if key != SHARD_LABEL}
    return {**workflow, "metadata": {**metadata, "labels": labels | ({SHARD_LABEL: shard} if shard else {})}}


def owner_reference(name: str, uid: str) -> dict[str, Any]:
    """Owner reference to a run: the garbage collector deletes the object with the run."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": name,
        "uid": uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _check_entrypoint(spec: Mapping[str, Any], template: Mapping[str, Any] | None) -> None:
    """Checks the entrypoint, which Argo validates only after the Workflow is created."""
    of, there = (spec, "spec") if template is None else (template, "the template's spec")
    names: list[str] = []
    for index, item in enumerate(expect_list(of.get("templates"), f"{there}.templates")):
        path = f"{there}.templates[{index}]"
        names.append(expect_text(expect_mapping(item, path).get("name"), f"{path}.name"))
    if not names:
        raise Refused("TemplatesMissing", f"{there}.templates: expected at least one template, found none")
    entrypoint = expect_text(spec.get("entrypoint"), "spec.entrypoint")
    if not entrypoint and template is not None:
        entrypoint = expect_text(template.get("entrypoint"), f"{there}.entrypoint")
    if not entrypoint:
        raise Refused("EntrypointMissing", f"spec.entrypoint: expected the name of a template: {quote_all(names)}")
    if entrypoint not in names:
        raise Refused(
            "EntrypointMissing",
            f"spec.entrypoint: there is no template {quote(entrypoint)} in {there}.templates, only {quote_all(names)}",
        )


def _check_size(workflow: Mapping[str, Any]) -> None:
    size = len(json.dumps(workflow, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"))
    if size > MAX_WORKFLOW:
        raise Refused(
            "WorkflowTooLarge",
            f"spec.workflow: the Workflow has {size} bytes, more than the {MAX_WORKFLOW} that fit into etcd; "
            "move scripts and data out of it, or its templates into WorkflowTemplates",
        )


def _copy(value: Any, path: str) -> dict[str, Any]:
    """Copies a spec, after a check of its nesting depth and size."""
    if not isinstance(value, dict):
        raise Refused("SpecInvalid", f"{path}: expected a mapping (Argo's WorkflowSpec), found {json_type(value)}")
    try:
        check_depth(value)
    except UnreadableTextError as error:
        raise Refused("SpecInvalid", f"{path}: {error}") from None
    return _copied(value)


def _copied(value: Any) -> Any:
    """A deep copy of a JSON value within MAX_DEPTH; other threads run meanwhile, which they do not during a call of `json`."""
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in cast("dict[str, Any]", value).items()}
    return [_copied(item) for item in cast("list[Any]", value)] if isinstance(value, list) else value
