"""The OpenAPI 3.0 document of the REST API, made from the contract."""

from __future__ import annotations

from typing import Any, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from runwright import __version__
from runwright.service.bindings import VARIABLE, Binding, bindings, is_repeated

ERROR = "Error"

SCALARS: dict[int, dict[str, Any]] = {
    FieldDescriptor.TYPE_STRING: {"type": "string"},
    FieldDescriptor.TYPE_BYTES: {"type": "string", "format": "byte"},
    FieldDescriptor.TYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.TYPE_INT32: {"type": "integer", "format": "int32"},
    FieldDescriptor.TYPE_INT64: {"type": "string", "format": "int64"},
    FieldDescriptor.TYPE_DOUBLE: {"type": "number", "format": "double"},
}


def openapi_document() -> dict[str, Any]:
    """The document."""
    schemas: dict[str, Any] = {ERROR: error_schema()}
    paths: dict[str, dict[str, Any]] = {}
    for one in bindings():
        paths.setdefault(documented_path(one), {})[one.verb.lower()] = operation_object(one, schemas)
    return {
        "openapi": "3.0.3",
        "info": {"title": "Runwright", "description": "KFP's v1beta1 run service.", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"bearer": []}],
    }


def documented_path(one: Binding) -> str:
    """The path of an RPC. Paths that differ in variable names only are one path in OpenAPI: the first RPC names the variables."""
    return next(other.template for other in bindings() if path_shape(other.template) == path_shape(one.template))


def path_shape(template: str) -> str:
    """A path without the names of its variables."""
    return VARIABLE.sub("{}", template)


def operation_object(one: Binding, schemas: dict[str, Any]) -> dict[str, Any]:
    """The Operation object of an RPC."""
    found: dict[str, Any] = {
        "operationId": one.descriptor.name,
        "tags": [one.descriptor.containing_service.name],
        "parameters": [*operation_parameters(one)],
        "responses": {
            "200": json_response({"$ref": schema_ref(one.descriptor.output_type, schemas)}, "Success."),
            "default": json_response(
                {"$ref": f"#/components/schemas/{ERROR}"}, "Error; `code` is the gRPC status code."
            ),
        },
    }
    if one.body:
        of = one.descriptor.input_type
        part = of if one.body == "*" else of.fields_by_name[one.body].message_type
        schema = {"$ref": schema_ref(cast(Descriptor, part), schemas)}
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    if one.descriptor.containing_service.name == "HealthzService":
        found["security"] = []
    return found


def operation_parameters(one: Binding) -> list[dict[str, Any]]:
    """The Parameter objects of an RPC: variables in the path, and fields in the query."""
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in VARIABLE.findall(documented_path(one))
    ]
    if one.body:
        return in_path
    return in_path + [
        {"name": name, "in": "query", "schema": schema}
        for field in one.descriptor.input_type.fields
        if field.name not in one.path_fields
        for name, schema in query_parameters(field)
    ]


def query_parameters(field: FieldDescriptor) -> list[tuple[str, dict[str, Any]]]:
    """Names and schemas of the query parameters for a field; a message has one for each of its fields."""
    if field.message_type is None:
        return [(field.name, field_schema(field, {}))]
    return [
        (f"{field.name}.{inner.name}", field_schema(inner, {}))
        for inner in field.message_type.fields
        if inner.message_type is None
    ]


def schema_ref(of: Descriptor, schemas: dict[str, Any]) -> str:
    """The reference to a message's schema; adds the schema to `schemas`."""
    name = of.full_name.removeprefix("api.").removeprefix("google.protobuf.")
    if name not in schemas:
        schemas[name] = {}
        properties = {field.name: field_schema(field, schemas) for field in of.fields}
        schemas[name] |= {"type": "object", "properties": properties}
    return f"#/components/schemas/{name}"


def field_schema(field: FieldDescriptor, schemas: dict[str, Any]) -> dict[str, Any]:
    """The schema of a field."""
    one = value_schema(field, schemas)
    return {"type": "array", "items": one} if is_repeated(field) else one


def value_schema(field: FieldDescriptor, schemas: dict[str, Any]) -> dict[str, Any]:
    """The schema of one value of a field."""
    if field.enum_type is not None:
        return {"type": "string", "enum": [value.name for value in field.enum_type.values]}
    if field.message_type is None:
        return dict(SCALARS[field.type])
    if field.message_type.full_name == "google.protobuf.Timestamp":
        return {"type": "string", "format": "date-time"}
    return {"$ref": schema_ref(field.message_type, schemas)}


def json_response(schema: dict[str, Any], meaning: str) -> dict[str, Any]:
    """A Response object with a JSON body."""
    return {"description": meaning, "content": {"application/json": {"schema": schema}}}


def error_schema() -> dict[str, Any]:
    """The schema of an error's body."""
    texts = {name: {"type": "string"} for name in ("@type", "error_message", "error_details")}
    return {
        "type": "object",
        "required": ["error", "message", "code", "details"],
        "properties": {
            "error": {"type": "string"},
            "message": {"type": "string"},
            "code": {"type": "integer"},
            "details": {"type": "array", "items": {"type": "object", "properties": texts}},
        },
    }
