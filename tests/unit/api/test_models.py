"""Any object that the models can hold is one that the API server takes, and comes back the same."""

from __future__ import annotations

import copy
import enum
import types
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from runwright.api.crd import LIST_KEYS, openapi_schema
from runwright.api.kinds import KINDS, PIPELINE_RUN, RETENTION_POLICY, WORKFLOW_SNAPSHOT, Kind
from runwright.api.model import Model
from runwright.api.pipelinerun import Metric, Parameter, PipelineRun, PipelineRunSpec, Retention, WorkflowSource

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
    """The schema with every object closed: the API server drops what an open one would let pass."""
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
SERVER = SERVERS[PIPELINE_RUN.name]


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


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no failure
@given(data=st.data())
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_what_the_models_hold_is_valid_on_the_server_and_comes_back(kind: Kind, data: st.DataObject):
    found = data.draw(objects(kind))
    document = wire(found)
    assert (document["apiVersion"], document["kind"]) == ("runwright.dev/v1alpha1", kind.name)
    SERVERS[kind.name].validate(document)
    assert kind.model.model_validate(document) == found


def test_the_closed_schema_refuses_what_the_server_would():
    """The property above can fail: an unknown field, an unknown word, a value of another type, a list that is too long."""
    good = {"spec": {"workflow": {"spec": {"any": [None, {"thing": 1}]}}}}
    SERVER.validate(good)
    for bad in (
        {},
        {"spec": {}},
        {"spec": {"workflow": {}, "shut": "Stop"}},
        {"spec": {"workflow": {}, "shutdown": "Kill"}},
        {"spec": {"workflow": {}, "retries": "1"}},
        {"spec": {"workflow": {}, "displayName": None}},
        {"spec": {"workflow": {}, "parameters": [{"name": "a", "value": ""}] * 513}},
    ):
        assert not SERVER.is_valid(bad), bad


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (RETENTION_POLICY, {"spec": {}}, {}),
        (RETENTION_POLICY, {"spec": {"keepFailed": 100_000}}, {"spec": {"keepFailed": 100_001}}),
        (RETENTION_POLICY, {"spec": {"keepSucceeded": 0}}, {"spec": {"keepSucceeded": -1}}),
        (
            WORKFLOW_SNAPSHOT,
            {"attempt": 0, "workflowUID": "a", "data": "a"},
            {"attempt": 0, "workflowUid": "a", "data": "a"},
        ),
        (
            WORKFLOW_SNAPSHOT,
            {"attempt": 1, "workflowUID": "a", "data": "a" * 1_400_000},
            {"attempt": 1, "workflowUID": "a", "data": "a" * 1_400_001},
        ),
    ],
    ids=["no spec", "too many kept", "less than none kept", "misspelt", "too large"],
)
def test_bounds_of_the_other_kinds(kind: Kind, good: dict[str, Any], bad: dict[str, Any]):
    """On the server and in the model alike."""
    SERVERS[kind.name].validate(good)
    kind.model.model_validate(good)
    assert not SERVERS[kind.name].is_valid(bad)
    with pytest.raises(ValidationError):
        kind.model.model_validate({key: value for key, value in bad.items() if key != "workflowUid"})


@pytest.mark.parametrize("duration", ["90s", "1h30m", "7d", "0.5s", "250ms", "1d12h"])
def test_durations(duration: str):
    assert Retention(delete_after=duration).delete_after == duration


@pytest.mark.parametrize("duration", ["", "a week", "5", "-1h", "1 h", "1h ", "s", "1w", "1h\n", "1" * 32 + "s"])
def test_what_is_no_duration(duration: str):
    with pytest.raises(ValidationError):
        Retention(delete_after=duration)


def test_a_field_of_a_newer_version_is_dropped():
    run = PipelineRun.model_validate(
        {"spec": {"workflow": {"manifest": "x", "oci": "y"}, "priority": 1}, "metadata": {"name": "a"}, "more": 1}
    )
    assert wire(run)["spec"] == {"workflow": {"manifest": "x"}, "retries": 0}


def test_names_on_the_wire():
    spec = PipelineRunSpec(
        workflow=WorkflowSource(manifest="x"), service_account_name="a", parameters=[Parameter(name="a", value="1")]
    )
    assert spec.model_dump(by_alias=True, exclude_none=True) == {
        "workflow": {"manifest": "x"},
        "serviceAccountName": "a",
        "parameters": [{"name": "a", "value": "1"}],
        "retries": 0,
    }
    assert "nodeID" in Metric(name="m", node_id="n", value=1).model_dump(by_alias=True)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_metric_is_a_number_that_json_has(value: float):
    with pytest.raises(ValidationError):
        Metric(name="m", node_id="n", value=value)
