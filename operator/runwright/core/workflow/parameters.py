"""Sets the run's parameters in the Workflow's arguments, as `argo submit --parameter` does.

Argo (v3.7) replaces a declared parameter with its name and new value, and adds undeclared names. Runwright keeps the
other fields of the declaration (default, enum, description), refuses undeclared names, and sets a declared `default`, which
Argo itself ignores in a Workflow's arguments.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, cast

from runwright.api.pipelinerun import Parameter
from runwright.core.workflow.expect import (
    Refused,
    expect_list,
    expect_mapping,
    expect_text,
    json_type,
    quote,
    quote_all,
)

MAX_GUESSES = 50
"""Declared names that a misspelt name is compared with."""

MAX_GUESS_LENGTH = 40
"""Characters of the longest name that is compared."""


def set_parameters(
    spec: dict[str, Any], given: Sequence[Parameter], template_spec: Mapping[str, Any] | None = None
) -> None:
    """Sets `given` in `spec.arguments.parameters`, in place.

    `template_spec` is the spec of the template that `spec.workflowTemplateRef` names. Its parameters count as declared,
    and all its values are written too: an admission policy for Workflows sees what the run gets (Argo merges both; the
    Workflow's own win).

    Raises:
        Refused: an undeclared name, a missing value, a value that `enum` does not list, or an unexpected type.
    """
    own = declared_parameters(spec, "spec")
    inherited = declared_parameters(template_spec or {}, "the template's spec")
    values = {parameter.name: parameter.value for parameter in given}
    _check_known(values, [*own, *(name for name in inherited if name not in own)])

    missing: list[str] = []
    added: list[dict[str, Any]] = []
    for name in {**own, **inherited}:
        effective = {**inherited.get(name, {}), **own.get(name, {})}
        entry = own.get(name) or {"name": name}
        if name in values:
            _give(entry, values[name])
        elif not _has_value(own.get(name) or inherited[name]):
            default = _default(effective)
            if default is not None:
                _give(entry, default)
            elif _has_value(effective):
                entry["valueFrom"] = effective["valueFrom"]
            else:
                missing.append(name)
                continue
        elif name not in own:
            entry |= {key: effective[key] for key in ("value", "valueFrom") if effective.get(key) is not None}
        _check_enum(name, entry, effective)
        if name not in own:
            added.append(entry)
    if missing:
        raise Refused(
            "ParameterMissing",
            f"spec.parameters: {quote_all(missing)} must be given: declared without a value and without a default",
        )
    if added:
        arguments = expect_mapping(spec.get("arguments"), "spec.arguments")
        arguments["parameters"] = [*own.values(), *added]
        spec["arguments"] = arguments


def declared_parameters(spec: Mapping[str, Any], path: str) -> dict[str, dict[str, Any]]:
    """The parameters in `spec.arguments`, by name, in order. Returns the entries themselves, not copies.

    Raises:
        Refused: they are not a list of mappings with a name and a scalar value.
    """
    arguments = expect_mapping(spec.get("arguments"), f"{path}.arguments", "ParametersInvalid")
    at = f"{path}.arguments.parameters"
    found: dict[str, dict[str, Any]] = {}
    for index, item in enumerate(expect_list(arguments.get("parameters"), at, "ParametersInvalid")):
        entry = expect_mapping(item, f"{at}[{index}]", "ParametersInvalid")
        name = expect_text(entry.get("name"), f"{at}[{index}].name", "ParametersInvalid")
        if not name:
            raise Refused("ParametersInvalid", f"{at}[{index}].name: expected a name, found nothing")
        if name in found:
            raise Refused("ParametersInvalid", f"{at}[{index}].name: {quote(name)} is declared twice; remove one")
        for key in ("value", "default"):
            if isinstance(entry.get(key), dict | list):
                raise Refused(
                    "ParametersInvalid",
                    f"{at}[{index}].{key}: expected a string, number or boolean for {quote(name)}, "
                    f"found {json_type(entry[key])}; write it as JSON text",
                )
        expect_mapping(entry.get("valueFrom"), f"{at}[{index}].valueFrom", "ParametersInvalid")
        expect_list(entry.get("enum"), f"{at}[{index}].enum", "ParametersInvalid")
        found[name] = entry
    return found


def any_string(value: Any) -> str:
    """A scalar value as a string, converted as in Argo (`AnyString`, Argo v3.7)."""
    match value:
        case bool():
            return "true" if value else "false"
        case float():
            return str(int(value)) if value.is_integer() else format(Decimal(repr(value)), "f")
        case _:
            return str(value)


def _check_known(values: Mapping[str, str], known: Sequence[str]) -> None:
    declared = set(known)
    unknown = [name for name in values if name not in declared]
    if not unknown:
        return
    # The work of difflib grows with the square of the lengths.
    short = [name for name in known if len(name) <= MAX_GUESS_LENGTH][:MAX_GUESSES]
    close = difflib.get_close_matches(unknown[0], short, n=1) if len(unknown[0]) <= MAX_GUESS_LENGTH else []
    guess = f" Did you mean {quote(close[0])}?" if close else ""
    there = f"It declares {quote_all(known)}." if known else "It declares none."
    raise Refused(
        "ParameterUnknown",
        f"spec.parameters: the Workflow declares no parameter {quote_all(unknown)} in spec.arguments.parameters."
        f"{guess} {there}",
    )


def _has_value(entry: Mapping[str, Any]) -> bool:
    """Whether Argo finds a value: `valueFrom.supplied` only declares that the user must give one."""
    source = cast("dict[str, Any]", entry.get("valueFrom") or {})
    return entry.get("value") is not None or bool(set(source) - {"supplied", "default"})


def _default(entry: Mapping[str, Any]) -> Any:
    source = cast("dict[str, Any]", entry.get("valueFrom") or {})
    found = (entry.get("value"), entry.get("default"), source.get("default"))
    return next((value for value in found if value is not None and not isinstance(value, dict | list)), None)


def _give(entry: dict[str, Any], value: Any) -> None:
    entry["value"] = value
    # Argo reads valueFrom only without a value, and refuses most of its forms here.
    entry.pop("valueFrom", None)


def _check_enum(name: str, entry: Mapping[str, Any], effective: Mapping[str, Any]) -> None:
    allowed = cast("list[Any]", effective.get("enum") or [])
    value = entry.get("value")
    if allowed and value is not None and any_string(value) not in [any_string(one) for one in allowed]:
        raise Refused(
            "ParameterNotAllowed",
            f"spec.parameters: {quote(name)} is {quote(any_string(value))}; "
            f"expected one of {quote_all(any_string(one) for one in allowed)}",
        )
