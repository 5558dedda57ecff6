"""Cache keys of the local cluster's programs, and their pins."""

from dataclasses import replace

import pytest
from localcluster import pins
from localcluster.paths import PINS

FAMILIES = [*pins.COMPONENT_FAMILIES, pins.KUBECTL, pins.KIND]


def test_the_hash_is_stable() -> None:
    assert pins.family_hash(pins.ETCD, b"mod", b"sum") == pins.family_hash(pins.ETCD, b"mod", b"sum")


@pytest.mark.parametrize(
    ("family", "go_mod", "go_sum"),
    [
        (pins.ETCD, b"mod2", b"sum"),
        (pins.ETCD, b"mod", b"sum2"),
        (pins.ETCD, b"modsum", b""),
        (replace(pins.ETCD, ldflags="-s"), b"mod", b"sum"),
        (replace(pins.ETCD, packages={"etcd": "other"}), b"mod", b"sum"),
        (replace(pins.ETCD, blanks=("a",)), b"mod", b"sum"),
        (replace(pins.ETCD, links={"a": "b"}), b"mod", b"sum"),
    ],
)
def test_the_hash_changes_with_every_input_of_a_build(family: pins.Family, go_mod: bytes, go_sum: bytes) -> None:
    assert pins.family_hash(family, go_mod, go_sum) != pins.family_hash(pins.ETCD, b"mod", b"sum")


def test_the_hash_does_not_depend_on_the_estimate() -> None:
    assert pins.family_hash(replace(pins.ETCD, seconds=1), b"", b"") == pins.family_hash(pins.ETCD, b"", b"")


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_program_is_a_tool_in_its_go_mod(family: pins.Family) -> None:
    text = (PINS / pins.pin_folder(family) / "go.mod").read_text()
    declared = {line.strip().removeprefix("tool ") for line in text.splitlines()}
    assert set(family.packages.values()) <= declared


@pytest.mark.parametrize(
    ("folder", "module", "version"),
    [
        ("kubernetes", "k8s.io/kubernetes", pins.KUBERNETES_VERSION),
        ("argo", pins.ARGO_MODULE, pins.ARGO_VERSION),
        ("versitygw", "github.com/versity/versitygw", pins.VERSITYGW_VERSION),
        ("coredns", "github.com/coredns/coredns", pins.COREDNS_VERSION),
    ],
)
def test_the_versions_in_the_code_equal_the_pins(folder: str, module: str, version: str) -> None:
    assert f"{module} {version}" in (PINS / folder / "go.mod").read_text()


@pytest.mark.parametrize(
    ("text", "version"),
    [("go 1.24.4\n", (1, 24, 4)), ("module x\n\ngo 1.26\n", (1, 26, 0)), ("module x\n", (1, 21, 0))],
)
def test_the_required_go_version_is_read_from_go_mod(text: str, version: tuple[int, int, int]) -> None:
    assert pins.required_go(text) == version


@pytest.mark.parametrize(
    ("text", "version"),
    [("go1.26.8\n", (1, 26, 8)), ("go1.25rc1", (1, 25, 0)), ("devel +abc", None), ("", None)],
)
def test_the_installed_go_version_is_parsed(text: str, version: tuple[int, int, int] | None) -> None:
    assert pins.parse_go_version(text) == version
