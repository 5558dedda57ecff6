"""The run's parameters are set in the Workflow's arguments, or refused."""

import difflib
from typing import Any

import pytest

from runwright.api.pipelinerun import Parameter
from runwright.core.workflow.expect import Refused
from runwright.core.workflow.parameters import any_string, set_parameters


def spec_of(*parameters: Any) -> dict[str, Any]:
    return {"arguments": {"parameters": list(parameters)}}


def outcome(spec: dict[str, Any], template: dict[str, Any] | None = None, **given: str) -> Any:
    set_parameters(spec, [Parameter(name=name, value=value) for name, value in given.items()], template)
    return spec.get("arguments", {}).get("parameters")


def refused(spec: dict[str, Any], template: dict[str, Any] | None = None, **given: str) -> tuple[str, str]:
    with pytest.raises(Refused) as refusal:
        outcome(spec, template, **given)
    return refusal.value.refusal.reason, refusal.value.refusal.message


def test_a_given_value_replaces_the_declared_one_and_keeps_the_rest() -> None:
    spec = spec_of(
        {"name": "a", "value": 1, "default": "0", "enum": ["1", "2"], "description": "d"}, {"name": "b", "value": "x"}
    )
    assert outcome(spec, a="2") == [
        {"name": "a", "value": "2", "default": "0", "enum": ["1", "2"], "description": "d"},
        {"name": "b", "value": "x"},
    ]


def test_a_given_value_takes_the_place_of_value_from() -> None:
    source = {"configMapKeyRef": {"name": "c", "key": "k"}}
    assert outcome(spec_of({"name": "a", "valueFrom": source}), a="1") == [{"name": "a", "value": "1"}]


def test_an_empty_value_is_a_value() -> None:
    assert outcome(spec_of({"name": "a"}), a="") == [{"name": "a", "value": ""}]
    assert outcome(spec_of({"name": "a", "value": ""})) == [{"name": "a", "value": ""}]


def test_value_from_a_config_map_is_left_to_argo() -> None:
    parameter = {"name": "a", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}
    assert outcome(spec_of(dict(parameter))) == [parameter]


def test_a_default_is_filled_in() -> None:
    assert outcome(spec_of({"name": "a", "default": 3})) == [{"name": "a", "default": 3, "value": 3}]
    assert outcome(spec_of({"name": "a", "valueFrom": {"default": "x"}})) == [{"name": "a", "value": "x"}]


def test_nothing_declared_and_nothing_given() -> None:
    spec: dict[str, Any] = {}
    assert outcome(spec) is None
    assert spec == {}


@pytest.mark.parametrize(
    "entry", [{"name": "a"}, {"name": "a", "value": None}, {"name": "a", "valueFrom": {"supplied": {}}}]
)
def test_a_parameter_without_a_value_is_refused(entry: dict[str, Any]) -> None:
    reason, message = refused(spec_of({"name": "b", "value": 1}, entry, {"name": "c"}))
    assert reason == "ParameterMissing"
    assert '"a", "c" must be given' in message


def test_unknown_lists_the_known_and_guesses() -> None:
    reason, message = refused(
        spec_of({"name": "learning-rate", "value": 1}, {"name": "epochs", "value": 1}), learning_rate="2"
    )
    assert reason == "ParameterUnknown"
    assert '"learning_rate"' in message
    assert 'Did you mean "learning-rate"?' in message
    assert 'It declares "learning-rate", "epochs".' in message


def test_an_unknown_name_is_refused_without_declarations() -> None:
    assert "It declares none." in refused({}, x="1")[1]


@pytest.mark.parametrize("value", ["3", ""])
def test_outside_enum(value: str) -> None:
    reason, message = refused(spec_of({"name": "a", "enum": [1, "2"], "value": "2"}), a=value)
    assert reason == "ParameterNotAllowed"
    assert 'expected one of "1", "2"' in message


def test_enum_compares_as_argo_does() -> None:
    assert outcome(spec_of({"name": "a", "enum": [1, True]}), a="true")[0]["value"] == "true"


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"arguments": []}, "spec.arguments: expected a mapping, found a list"),
        ({"arguments": {"parameters": {"a": "1"}}}, "spec.arguments.parameters: expected a list, found a mapping"),
        (spec_of("a=1"), "spec.arguments.parameters[0]: expected a mapping"),
        (spec_of({"value": "1"}), "spec.arguments.parameters[0].name: expected a name"),
        (spec_of({"name": 1}), "spec.arguments.parameters[0].name: expected a string"),
        (spec_of({"name": "a", "value": ["x"]}), 'expected a string, number or boolean for "a", found a list'),
        (spec_of({"name": "a", "value": "x"}, {"name": "a", "value": "y"}), '"a" is declared twice'),
        (spec_of({"name": "a", "valueFrom": "x"}), "spec.arguments.parameters[0].valueFrom: expected a mapping"),
        (spec_of({"name": "a", "enum": "x"}), "spec.arguments.parameters[0].enum: expected a list"),
    ],
)
def test_wrong_shapes(spec: dict[str, Any], said: str) -> None:
    reason, message = refused(spec)
    assert reason == "ParametersInvalid"
    assert said in message


class TestOfATemplate:
    def test_all_its_values_are_written(self) -> None:
        """An admission policy for Workflows sees them so."""
        source = {"configMapKeyRef": {"name": "c", "key": "k"}}
        template = spec_of({"name": "a", "value": "1", "description": "d"}, {"name": "b", "value": 2, "enum": [2]})
        assert outcome({}, template, a="9") == [{"name": "a", "value": "9"}, {"name": "b", "value": 2}]
        assert outcome({}, template) == [{"name": "a", "value": "1"}, {"name": "b", "value": 2}]
        assert outcome({}, spec_of({"name": "a", "valueFrom": source})) == [{"name": "a", "valueFrom": source}]

    def test_its_default_is_written(self) -> None:
        assert outcome({}, spec_of({"name": "a", "default": "1"})) == [{"name": "a", "value": "1"}]

    def test_its_missing_and_unknown_names(self) -> None:
        assert refused({}, spec_of({"name": "a"}))[0] == "ParameterMissing"
        assert refused({}, spec_of({"name": "a"}), a="1", b="2")[0] == "ParameterUnknown"

    def test_its_enum(self) -> None:
        assert refused({}, spec_of({"name": "a", "enum": ["1"]}), a="2")[0] == "ParameterNotAllowed"

    def test_the_workflows_own_come_first(self) -> None:
        template = spec_of({"name": "a", "value": "1"}, {"name": "b", "value": "2"}, {"name": "c", "default": "3"})
        own = spec_of({"name": "a", "value": "own"}, {"name": "mine", "value": "m"})
        assert outcome(own, template, b="9") == [
            {"name": "a", "value": "own"},
            {"name": "mine", "value": "m"},
            {"name": "b", "value": "9"},
            {"name": "c", "value": "3"},
        ]

    def test_a_name_repeated_without_a_value_has_the_templates(self) -> None:
        assert outcome(spec_of({"name": "a"}), spec_of({"name": "a", "value": "1"})) == [{"name": "a", "value": "1"}]
        source = {"configMapKeyRef": {"name": "c", "key": "k"}}
        assert outcome(spec_of({"name": "a"}), spec_of({"name": "a", "valueFrom": source})) == [
            {"name": "a", "valueFrom": source}
        ]


@pytest.mark.parametrize(
    ("value", "string"),
    [
        ("x", "x"),
        (True, "true"),
        (False, "false"),
        (3, "3"),
        (2.0, "2"),
        (1.5, "1.5"),
        (1e-7, "0.0000001"),
        (1e22, "1" + "0" * 22),
    ],
)
def test_a_scalar_becomes_the_string_that_argo_makes_of_it(value: Any, string: str) -> None:
    assert any_string(value) == string


def test_few_short_names_are_compared_for_a_guess(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []

    def record(word: str, possibilities: list[str], n: int) -> list[str]:
        compared.extend([word, *possibilities])
        return []

    monkeypatch.setattr(difflib, "get_close_matches", record)
    names = [f"{'ab' * 100}{number}" for number in range(60)] + [f"name-{number}" for number in range(60)]
    refused(spec_of(*({"name": name} for name in names)), None, **{"ab" * 100: ""})
    assert not compared, "the unknown name is long"
    refused(spec_of(*({"name": name} for name in names)), other="")
    assert len(compared) == 51 and max(map(len, compared)) <= 40


def test_unknown_names_are_found_with_one_look_each() -> None:
    class Name(str):
        comparisons = 0
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            Name.comparisons += 1
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    given = [Parameter.model_construct(name=Name(f"p{number}"), value="") for number in range(300)]
    set_parameters(spec_of(*({"name": Name(f"p{number}")} for number in range(300))), given)
    assert Name.comparisons < 10 * 300
