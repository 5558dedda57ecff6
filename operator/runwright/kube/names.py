"""Names of objects and namespaces, as the API server takes them (DNS-1123): checked before one becomes part of a path."""

from __future__ import annotations

import re
from typing import TypeGuard

_PART = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = re.compile(rf"{_PART}(?:\.{_PART})*")
_NAMESPACE = re.compile(_PART)
_DATA_KEY = re.compile(r"[-._a-zA-Z0-9]+")

MAX_OBJECT_NAME = 253
"""Characters of an object's name, and of a key of a ConfigMap's data. Parts between dots have no limit of their own."""

MAX_NAMESPACE = 63


def is_object_name(name: object) -> TypeGuard[str]:
    """Whether this can be the name of an object: a DNS-1123 subdomain."""
    return isinstance(name, str) and len(name) <= MAX_OBJECT_NAME and _SUBDOMAIN.fullmatch(name) is not None


def is_namespace_name(name: object) -> TypeGuard[str]:
    """Whether this can be the name of a namespace: a DNS-1123 label of at most 63 characters."""
    return isinstance(name, str) and len(name) <= MAX_NAMESPACE and _NAMESPACE.fullmatch(name) is not None


def is_path_segment(name: object) -> TypeGuard[str]:
    """Whether this can be the name of an object of any kind, and so one segment of a path (Kubernetes' path segment names)."""
    return (
        isinstance(name, str)
        and 0 < len(name) <= MAX_OBJECT_NAME
        and name not in (".", "..")
        and name.isascii()
        and name.isprintable()
        and not {"/", "%"} & set(name)
    )


def is_data_key(key: object) -> TypeGuard[str]:
    """Whether this can be a key of a ConfigMap's `data`."""
    return (
        isinstance(key, str)
        and len(key) <= MAX_OBJECT_NAME
        and key not in (".", "..")
        and _DATA_KEY.fullmatch(key) is not None
    )
