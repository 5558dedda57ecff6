"""The OpenAPI document describes what is served."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from jsonschema import Draft202012Validator

from runwright.service.bindings import Binding, bindings, reply_class
from runwright.service.contract.run_pb2 import ListRunsRequest
from runwright.service.openapi import documented_path, openapi_document
from runwright.service.reply_json import message_json
from tests.unit.service.gateway import filled


# ---------------------------------------------------------------------------------------------------------------- OpenAPI
def test_the_document_has_every_rpc_and_resolves_its_references():
    described = openapi_document()
    assert {(verb.upper(), path) for path, item in described["paths"].items() for verb in item} == {
        (one.verb, documented_path(one)) for one in bindings()
    }
    assert set(described["paths"]["/apis/v1beta1/runs/{run_id}"]) == {"get", "delete"}
    for reference in references(described):
        assert reference.removeprefix("#/components/schemas/") in described["components"]["schemas"]
    listing = described["paths"]["/apis/v1beta1/runs"]["get"]["parameters"]
    assert {one["name"] for one in listing} == {
        "page_token",
        "page_size",
        "sort_by",
        "resource_reference_key.type",
        "resource_reference_key.id",
        "filter",
    }
    assert ListRunsRequest.DESCRIPTOR.fields_by_name["page_size"]


@pytest.mark.parametrize("one", bindings(), ids=lambda one: one.method)
def test_replies_match_the_schemas_of_the_document(one: Binding):
    described = openapi_document()
    operation = described["paths"][documented_path(one)][one.verb.lower()]
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    check = Draft202012Validator({**schema, "components": described["components"]})
    for message in (
        reply_class(one.descriptor)(),
        ParseDict(filled(one.descriptor.output_type), reply_class(one.descriptor)()),
    ):
        check.validate(message_json(message))


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set[str]()
        return own | {found for inner in value.values() for found in references(inner)}
    return {found for inner in value for found in references(inner)} if isinstance(value, list) else set()
