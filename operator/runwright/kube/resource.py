"""Kinds of objects, as the API server's paths name them."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from runwright.kube.errors import ApiError
from runwright.kube.names import is_namespace_name, is_path_segment
from runwright.kube.objects import Key


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of object that the API server serves."""

    group: str
    """Empty for Kubernetes' own group."""
    version: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """`apiVersion` of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def discovery_path(self) -> str:
        """Path of the list of kinds that its group and version serve."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    def collection_path(self, namespace: str = "") -> str:
        """Path of all objects, or of those of one namespace. Raises ApiError 404 if no namespace can have this name."""
        if namespace and self.namespaced and not is_namespace_name(namespace):
            raise impossible_name("metadata.namespace", namespace, "lower-case letters, digits and '-'")
        scope = f"/namespaces/{quote(namespace, safe='')}" if namespace and self.namespaced else ""
        return f"{self.discovery_path}{scope}/{self.plural}"

    def object_path(self, key: Key, subresource: str = "") -> str:
        """Path of one object, or of a subresource such as `status` or `log`.

        Raises ApiError 404 if no object can have this name: a path with `..` or without a name would lead elsewhere.
        """
        if not is_path_segment(key.name):
            raise impossible_name("metadata.name", key.name, "1 to 253 characters without '/' and '%', not '.' or '..'")
        path = f"{self.collection_path(key.namespace)}/{quote(key.name, safe='')}"
        return f"{path}/{subresource}" if subresource else path

    def __str__(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural


def impossible_name(field: str, name: str, expected: str) -> ApiError:
    """The error for a name that no object can have: the API server would answer NotFound, too."""
    return ApiError(404, "NotFound", f"{field}: {name[:80]!a} cannot be a name: expected {expected}")


@dataclass(frozen=True, slots=True)
class Selection:
    """Which objects of a kind a list or a watch is about. The API server evaluates the selectors."""

    namespace: str = ""
    """Empty for all namespaces."""
    labels: str = ""
    """Label selector."""
    fields: str = ""
    """Field selector."""

    @classmethod
    def of(cls, key: Key) -> Selection:
        """The one object of this name. RBAC rules with `resourceNames` allow it."""
        return cls(key.namespace, fields=f"metadata.name={key.name}")


ALL = Selection()
"""All objects of a kind, in all namespaces."""

CONFIG_MAPS = Resource("", "v1", "configmaps")
EVENTS = Resource("", "v1", "events")
PODS = Resource("", "v1", "pods")
SECRETS = Resource("", "v1", "secrets")
SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts")
LEASES = Resource("coordination.k8s.io", "v1", "leases")
CUSTOM_RESOURCE_DEFINITIONS = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", namespaced=False)
TOKEN_REVIEWS = Resource("authentication.k8s.io", "v1", "tokenreviews", namespaced=False)
SUBJECT_ACCESS_REVIEWS = Resource("authorization.k8s.io", "v1", "subjectaccessreviews", namespaced=False)
