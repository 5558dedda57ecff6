"""Each CEL rule names an existing field and says what to write. tests/e2e/test_admission.py and test_edits.py evaluate them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from runwright.api.crd import openapi_schema
from runwright.api.kinds import KINDS, PIPELINE_RUN, Kind
from runwright.api.rules import PATTERN_MESSAGES, PIPELINE_RUN_RULES, Rule


def paths(schema: dict[str, Any], above: str = "") -> Iterator[str]:
    """The paths of all fields below a schema, without list items."""
    for name, field in schema.get("properties", {}).items():
        here = f"{above}.{name}".removeprefix(".")
        yield here
        yield from paths(field, here)


@pytest.mark.parametrize(
    ("kind", "rule"),
    [(kind, rule) for kind in KINDS for rule in kind.rules],
    ids=lambda part: getattr(part, "message", "")[:40],
)
def test_a_rule_names_a_field_and_says_what_to_write(kind: Kind, rule: Rule):
    assert f"{rule.path}{rule.field_path}".removeprefix(".") in set(paths(openapi_schema(kind)))
    assert len(rule.message) < 200 and "\n" not in rule.message and not rule.message.endswith(".")
    assert any(word in rule.message for word in ("use ", "set ", "apply ", "keep ", "remove "))


def test_a_rule_about_a_change_is_an_update_rule():
    """`oldSelf` makes Kubernetes evaluate a rule on updates only."""
    update_only = {rule.field_path for rule in PIPELINE_RUN_RULES if "oldSelf" in rule.expression}
    assert {".spec.workflow", ".spec.parameters", ".spec.serviceAccountName", ".retries", ".shutdown"} <= update_only
    assert ".metadata.name" not in update_only


def test_every_pattern_of_a_model_has_a_message():
    document = str(PIPELINE_RUN.model.model_json_schema(by_alias=True))
    patterns = set(re.findall(r"'pattern': '([^']+)'", document.replace("\\\\", "\\")))
    assert patterns == set(PATTERN_MESSAGES)
    assert all("such as" in message or "as sha256sum" in message for message in PATTERN_MESSAGES.values())
