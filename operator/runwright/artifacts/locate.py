"""Finds the place of a node's output artifact in an object store, or names the objects to read first.

The rules are those of Argo 3.7: `Artifact`, `ArtifactLocation.Relocate`, and `getArtifactAndDriver` of its server.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, cast

from runwright.artifacts.packing import Packing, packing_of
from runwright.artifacts.places import (
    MAX_QUOTED,
    OBJECT_NAME,
    ArtifactError,
    Place,
    parse_place,
    quote_name,
    quote_names,
)
from runwright.core.workflow.build import Needs, ObjectRef
from runwright.core.workflow.kube_yaml import UnreadableTextError, load_yaml
from runwright.core.workflow.record import workflow_nodes
from runwright.kube.objects import Json, annotations_of, as_mapping, as_text, key_of, spec_of, status_of


@dataclass(frozen=True, slots=True)
class Located:
    """The place of an artifact, and how it is packed there."""

    place: Place
    packing: Packing


def locate_artifact(
    workflow: Json,
    node_id: str,
    name: str,
    objects: Mapping[ObjectRef, Json | None],
    namespaces: Collection[str] | None = None,
) -> Located | Needs:
    """Finds the node's output artifact. If it returns `Needs`, read these objects and call it again; None: does not exist.

    `namespaces` are those whose ConfigMaps may name the artifact repository; None: all.

    Raises:
        ArtifactError: the node or artifact does not exist, was deleted, or has an unknown or unsupported place.
    """
    node = find_node(workflow, node_id)
    artifact = find_artifact(workflow, node_id, node, name)
    if artifact.get("deleted") is True:
        raise ArtifactError(
            "ArtifactCollected", "Argo deleted it from the object store, because of the Workflow's artifactGC"
        )
    kind = location_kind(artifact, KINDS)
    if kind and is_complete_location(kind, as_mapping(artifact[kind])):
        return Located(parse_place(kind, as_mapping(artifact[kind]), "the node's outputs"), packing_of(artifact))
    key = as_text(as_mapping(artifact.get(kind)).get(KEY_FIELDS.get(kind, "")))
    if not key:
        raise ArtifactError("ArtifactNotFound", "it was not saved: Argo has recorded no place for it")
    found = find_repository(workflow, node, objects, namespaces)
    if isinstance(found, Needs):
        return found
    origin, kind, fields = found
    return Located(parse_place(kind, {**fields, KEY_FIELDS.get(kind, "key"): key}, origin), packing_of(artifact))


# ------------------------------------------------------------------------------------------------- nodes and artifacts
def find_node(workflow: Json, node_id: str) -> Json:
    """The node with this id. Raises ArtifactError."""
    status = status_of(workflow)
    nodes = workflow_nodes(status)
    if node_id in nodes:
        return as_mapping(nodes[node_id])
    if not nodes and status.get("offloadNodeStatusVersion"):
        raise ArtifactError("Unsupported", "the nodes of this Workflow are in Argo's database, which is not read")
    raise ArtifactError("NodeNotFound", f"the run has no node {quote_name(node_id)}{suggest_nodes(nodes)}")


def find_node_id(workflow: Json, wanted: str) -> str:
    """The id of a node, given by id, name, display name, or the name of its pod.

    Raises:
        ArtifactError: there is no such node, or there are several.
    """
    nodes = workflow_nodes(status_of(workflow))
    if wanted in nodes:
        return wanted
    # Argo names pods WORKFLOW-TEMPLATE-NUMBER and their nodes WORKFLOW-NUMBER (3.4 to 3.7, POD_NAMES=v2).
    workflow_name, number = key_of(workflow).name, wanted.rpartition("-")[2]
    if wanted.startswith(f"{workflow_name}-") and f"{workflow_name}-{number}" in nodes:
        return f"{workflow_name}-{number}"
    for field in ("name", "displayName"):
        called = [id for id, node in nodes.items() if as_mapping(node).get(field) == wanted]
        # Attempts of a node have different names, but the nodes of a recursive template can share a display name.
        if len(called) == 1:
            return called[0]
        if called:
            ids = ", ".join(called[:MAX_QUOTED])
            raise ArtifactError(
                "NodeNotFound", f"{len(called)} nodes have the name {quote_name(wanted)}; use the id of one: {ids}"
            )
    find_node(workflow, wanted)
    return wanted


def find_artifact(workflow: Json, node_id: str, node: Json, name: str) -> Json:
    """The output artifact of the node, or of its last attempt that has it; for the root node, also of the Workflow.

    Argo sets the outputs of a Retry node only when its last attempt ends. Raises ArtifactError.
    """
    status = status_of(workflow)
    nodes = workflow_nodes(status)
    candidates = [as_mapping(node.get("outputs"))]
    if node_id == key_of(workflow).name:
        candidates.append(as_mapping(status.get("outputs")))
    if node.get("type") == "Retry":
        candidates += [
            as_mapping(as_mapping(nodes.get(id)).get("outputs")) for id in reversed(as_texts(node.get("children")))
        ]
    for outputs in candidates:
        for artifact in output_artifacts(outputs):
            if artifact.get("name") == name:
                return artifact
    there = list(dict.fromkeys(found for outputs in candidates for found in artifact_names(outputs)))
    others = [
        describe_node(id, other)
        for id, other in nodes.items()
        if name in artifact_names(as_mapping(as_mapping(other).get("outputs")))
    ]
    hint = f"; it has {quote_names(there)}" if there else "; it has none"
    hint += f"; {quote_name(name)} is an artifact of {quote_names(others)}" if others else ""
    raise ArtifactError("ArtifactNotFound", f"the node has no output artifact {quote_name(name)}{hint}")


def output_artifacts(outputs: Json) -> list[Json]:
    """The artifacts in `outputs`."""
    there = outputs.get("artifacts")
    return [as_mapping(artifact) for artifact in cast("list[object]", there)] if isinstance(there, list) else []


def artifact_names(outputs: Json) -> list[str]:
    """The names of the artifacts in `outputs`."""
    return [as_text(artifact.get("name")) for artifact in output_artifacts(outputs)]


def suggest_nodes(nodes: Json) -> str:
    """A list of existing nodes for a message, those with artifacts first."""
    order = sorted(nodes, key=lambda id: not output_artifacts(as_mapping(as_mapping(nodes[id]).get("outputs"))))
    return f"; it has {quote_names([describe_node(id, nodes[id]) for id in order])}"


def describe_node(node_id: str, node: object) -> str:
    """Id and display name of a node, for a message."""
    name = as_text(as_mapping(node).get("displayName"))
    return f"{node_id} ({name})" if name and name != node_id else node_id


# ------------------------------------------------------------------------------------------------------------ location
KINDS = ("artifactory", "azure", "git", "gcs", "hdfs", "http", "oss", "raw", "s3")
"""Kinds of locations of an artifact, in Argo's order of precedence (`ArtifactLocation.Get`)."""

REPOSITORY_KINDS = ("artifactory", "azure", "gcs", "hdfs", "oss", "s3")
"""Kinds of artifact repositories (`ArtifactRepository.Get`)."""

KEY_FIELDS = {"azure": "blob", "gcs": "key", "oss": "key", "s3": "key", "hdfs": "path", "artifactory": "url"}

COMPLETE = {
    "artifactory": ("url",),
    "azure": ("endpoint", "container", "blob"),
    "git": ("repo",),
    "gcs": ("bucket", "key"),
    "hdfs": ("addresses",),
    "http": ("url",),
    "oss": ("endpoint", "bucket", "key"),
    "raw": (),
    "s3": ("endpoint", "bucket", "key"),
}
"""Fields of a complete location. Otherwise, Argo takes all fields but the key from the repository (`HasLocation`)."""

DEFAULT_CONFIG_MAP = "artifact-repositories"
DEFAULT_KEY_ANNOTATION = "workflows.argoproj.io/default-artifact-repository"


def location_kind(location: Json, kinds: tuple[str, ...]) -> str:
    """The kind of a location, or an empty string without one."""
    return next((kind for kind in kinds if location.get(kind) is not None), "")


def is_complete_location(kind: str, fields: Json) -> bool:
    """Whether a location has all fields of its kind."""
    return all(fields.get(field) for field in COMPLETE[kind])


def find_repository(
    workflow: Json, node: Json, objects: Mapping[ObjectRef, Json | None], namespaces: Collection[str] | None
) -> tuple[str, str, Json] | Needs:
    """The location of a node's artifact that has only a key: its source for messages, its kind, and its fields.

    The template's `archiveLocation`, or else the artifact repository that Argo recorded for the Workflow, or else the one
    that Argo would use. Raises ArtifactError.
    """
    location = as_mapping(find_template(workflow, node).get("archiveLocation"))
    kind = location_kind(location, KINDS)
    if kind and is_complete_location(kind, as_mapping(location[kind])):
        return f"archiveLocation of template {quote_name(node_template_name(node))}", kind, as_mapping(location[kind])
    status, spec = status_of(workflow), spec_of(workflow)
    resolved = as_mapping(status.get("artifactRepositoryRef"))
    if resolved.get("artifactRepository") is not None:
        return repository_location(
            "status.artifactRepositoryRef.artifactRepository", as_mapping(resolved["artifactRepository"])
        )
    if resolved.get("default") is True:
        raise ArtifactError("Unsupported", "Argo recorded only a key, and has no artifact repository for this Workflow")
    asked = as_mapping(spec.get("artifactRepositoryRef") or stored_spec(workflow).get("artifactRepositoryRef"))
    ref = resolved or asked
    namespace = as_text(resolved.get("namespace")) or key_of(workflow).namespace
    config_map = ObjectRef("ConfigMap", as_text(ref.get("configMap")) or DEFAULT_CONFIG_MAP, namespace)
    if not OBJECT_NAME.fullmatch(config_map.name) or not OBJECT_NAME.fullmatch(namespace):
        raise ArtifactError(
            "Unsupported", f"artifactRepositoryRef: expected the name of a ConfigMap, found {config_map}"
        )
    if namespaces is not None and namespace not in namespaces:
        raise ArtifactError(
            "Refused",
            f"status.artifactRepositoryRef.namespace: expected {quote_names(list(namespaces))}, found {quote_name(namespace)}; "
            f"an admin sets the namespace of Argo with --argo-namespace (artifacts.argoNamespace of the chart)",
        )
    if config_map not in objects:
        return Needs((config_map,))
    return repository_from_config_map(config_map, objects[config_map], as_text(ref.get("key")))


def repository_from_config_map(ref: ObjectRef, config_map: Json | None, key: str) -> tuple[str, str, Json]:
    """The artifact repository under a key of a ConfigMap; by default, the key that its annotation names."""
    if config_map is None:
        raise ArtifactError(
            "Unsupported", f"only the artifact's key is known, and {ref}, which would name the bucket, does not exist"
        )
    annotations = annotations_of(config_map)
    key = key or as_text(annotations.get(DEFAULT_KEY_ANNOTATION))
    data = as_mapping(config_map.get("data"))
    if not key:
        raise ArtifactError(
            "Unsupported", f"{ref}: expected the annotation {DEFAULT_KEY_ANNOTATION} to name one of its keys"
        )
    # Messages quote nothing else from the ConfigMap: the user may have no permission for its namespace.
    origin = f"{ref}, data[{quote_name(key)}]"
    if key not in data:
        raise ArtifactError("Unsupported", f"{origin}: expected an artifact repository, found no such key")
    try:
        documents = load_yaml(as_text(data[key]))
    except UnreadableTextError:
        raise ArtifactError("Unsupported", f"{origin}: expected YAML") from None
    return repository_location(origin, as_mapping(documents[0] if documents else None))


def repository_location(origin: str, fields: Json) -> tuple[str, str, Json]:
    """Source, kind and fields of an artifact repository. Raises ArtifactError."""
    kind = location_kind(fields, REPOSITORY_KINDS)
    if not kind:
        raise ArtifactError("Unsupported", f"{origin}: expected one of {', '.join(REPOSITORY_KINDS)}, found none")
    return origin, kind, as_mapping(fields[kind])


def node_template_name(node: Json) -> str:
    """Name of the template of a node (Argo's `GetTemplateFromNode`)."""
    return as_text(as_mapping(node.get("templateRef")).get("template")) or as_text(node.get("templateName"))


def find_template(workflow: Json, node: Json) -> Json:
    """The node's template as stored in the Workflow, or an empty mapping."""
    stored = as_mapping(status_of(workflow).get("storedTemplates"))
    ref, name = as_mapping(node.get("templateRef")), node_template_name(node)
    if ref:
        scope = "cluster" if ref.get("clusterScope") is True else "namespaced"
        return as_mapping(stored.get(f"{scope}/{as_text(ref.get('name'))}/{name}"))
    scope = as_text(node.get("templateScope"))
    if f"{scope}/{name}" in stored:
        return as_mapping(stored[f"{scope}/{name}"])
    for spec in (spec_of(workflow), stored_spec(workflow)):
        there = spec.get("templates")
        for template in cast("list[object]", there) if isinstance(there, list) else []:
            if name and as_mapping(template).get("name") == name:
                return as_mapping(template)
    return {}


def stored_spec(workflow: Json) -> Json:
    """The spec of the Workflow's WorkflowTemplate, as Argo stored it in the Workflow's status."""
    return as_mapping(status_of(workflow).get("storedWorkflowTemplateSpec"))


def as_texts(value: Any) -> list[str]:
    """The items of a list as strings."""
    return [as_text(one) for one in cast("list[object]", value)] if isinstance(value, list) else []
