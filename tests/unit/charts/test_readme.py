"""The chart's README is generated and describes every value."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

CHARTS = Path(__file__).resolve().parents[3] / "charts"
README = CHARTS / "runwright" / "README.md"


@pytest.fixture(scope="module")
def readme() -> ModuleType:
    spec = importlib.util.spec_from_file_location("chart_readme", CHARTS / "readme.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_up_to_date(readme: ModuleType):
    assert README.read_text() == readme.page(), "run `make generate`"


def test_every_value_is_on_the_page_once(readme: ModuleType):
    given: dict[str, Any] = yaml.safe_load((CHARTS / "runwright" / "values.yaml").read_text())
    text = README.read_text()

    def leaves(values: dict[str, Any], schema: dict[str, Any], path: str = "") -> list[str]:
        found: list[str] = []
        for key, value in values.items():
            of_key = readme.resolved(schema["properties"][key])
            deeper = of_key.get("properties")
            found += leaves(value, of_key, f"{path}{key}.") if deeper else [f"{path}{key}"]
        return found

    names = leaves(given, json.loads((CHARTS / "runwright" / "values.schema.json").read_text()))
    assert len(names) > 70
    for name in names:
        assert text.count(f"| `{name}` |") == 1, name


def test_a_value_that_the_schema_lacks_is_an_error(readme: ModuleType):
    schema = {"properties": {"a": {"type": "string"}}}
    with pytest.raises(ValueError, match=r"differ in the top level: \['b'\]"):
        list(readme.values({"a": "", "b": ""}, schema, {("a",): "A."}))


def test_a_value_without_a_description_is_an_error(readme: ModuleType):
    with pytest.raises(ValueError, match="does not describe a"):
        list(readme.values({"a": ""}, {"properties": {"a": {"type": "string"}}}, {}))


def test_a_comment_describes_the_key_below_it(readme: ModuleType):
    text = "# Of a.\na: 1\n\n# Of nobody.\n\nb:\n  # Of c,\n  # in two lines.\n  c: 1\n  d: 2\n"
    assert readme.comments(text) == {("a",): "Of a.", ("b",): "", ("b", "c"): "Of c, in two lines.", ("b", "d"): ""}
