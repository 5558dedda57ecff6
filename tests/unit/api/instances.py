"""Arbitrary instances of the models, and validators with the schemas that the API server enforces."""

from __future__ import annotations

import copy
import enum
import types
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import jsonschema
from hypothesis import strategies as st
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from runwright.api.crd import LIST_KEYS, openapi_schema
from runwright.api.kinds import KINDS, Kind
from runwright.api.model import Model

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
TIMES = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))


def values(annotation: Any, metadata: list[Any]) -> st.SearchStrategy[Any]:
    """Values of a field, from its type and the constraints that pydantic keeps beside it."""
    origin = get_origin(annotation)
    if origin is Annotated:
        base, *extra = get_args(annotation)
        return values(
            base, [part for item in extra for part in (item.metadata if isinstance(item, FieldInfo) else [item])]
        )
    if origin in (Union, types.UnionType):
        return st.one_of(*(values(choice, metadata) for choice in get_args(annotation)))
    if origin is Literal:
        return st.sampled_from(get_args(annotation))
    if origin is list:
        (item,) = get_args(annotation)
        keys = LIST_KEYS[item]
        unique = (lambda value: tuple(getattr(value, snake(key)) for key in keys)) if keys else None
        return st.lists(values(item, []), max_size=2, unique_by=unique)
    if origin is dict:
        return st.dictionaries(st.text(max_size=8), JSON, max_size=3)
    if annotation is str:
        return strings(metadata)
    if annotation is int:
        bounds = {name: getattr(part, name) for part in metadata for name in ("ge", "le") if hasattr(part, name)}
        return st.integers(bounds.get("ge", -(2**63)), bounds.get("le", 2**63 - 1))
    if annotation is float:
        return st.floats(allow_nan=False, allow_infinity=False)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return instances(annotation)
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return st.sampled_from(list(annotation))
    return {type(None): st.none(), bool: st.booleans(), datetime: TIMES}[annotation]


def strings(metadata: list[Any]) -> st.SearchStrategy[str]:
    least = next((part.min_length for part in metadata if hasattr(part, "min_length")), 0)
    most = next((part.max_length for part in metadata if hasattr(part, "max_length")), 20)
    pattern = next((part.pattern for part in metadata if getattr(part, "pattern", None)), None)
    if pattern:
        return st.from_regex(pattern.removesuffix("$"), fullmatch=True, alphabet=st.characters(codec="ascii")).filter(
            lambda text: len(text) <= most
        )
    short = st.text(min_size=least, max_size=min(most, 20))
    return short if most > 1024 else short | st.text(min_size=most, max_size=most, alphabet="aé")


def instances(model: type[BaseModel]) -> st.SearchStrategy[Any]:
    return st.builds(
        model, **{name: values(field.annotation, field.metadata) for name, field in model.model_fields.items()}
    )


def snake(key: str) -> str:
    return {"nodeID": "node_id"}.get(key, key)


def closed(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without additional properties: the API server drops unknown fields."""
    schema = copy.deepcopy(schema)
    stack = [schema]
    while stack:
        node = stack.pop()
        if "properties" in node:
            node["additionalProperties"] = False
            stack += node["properties"].values()
        if "items" in node:
            stack.append(node["items"])
    schema["properties"]["metadata"] = {"type": "object"}
    return schema


SERVERS = {kind.name: jsonschema.Draft7Validator(closed(openapi_schema(kind))) for kind in KINDS}


def objects(kind: Kind) -> st.SearchStrategy[Any]:
    own = {
        name: field
        for name, field in kind.model.model_fields.items()
        if name not in ("api_version", "kind", "metadata")
    }
    fields = {name: values(field.annotation, field.metadata) for name, field in own.items()}
    return st.builds(kind.model, metadata=st.just({"name": "a"}), **fields)


def wire(found: Model) -> dict[str, Any]:
    return found.model_dump(mode="json", by_alias=True, exclude_none=True)
