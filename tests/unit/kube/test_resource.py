from __future__ import annotations

import pytest

from runwright.kube.errors import ApiError
from runwright.kube.objects import Key
from runwright.kube.resource import CONFIG_MAPS, CUSTOM_RESOURCE_DEFINITIONS, LEASES, PODS, Resource, Selection


@pytest.mark.parametrize(
    ("resource", "namespace", "path"),
    [
        (PODS, "", "/api/v1/pods"),
        (PODS, "team", "/api/v1/namespaces/team/pods"),
        (LEASES, "team", "/apis/coordination.k8s.io/v1/namespaces/team/leases"),
        (CUSTOM_RESOURCE_DEFINITIONS, "ignored", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"),
    ],
)
def test_paths_of_collections(resource: Resource, namespace: str, path: str) -> None:
    assert resource.collection_path(namespace) == path


def test_paths_of_objects() -> None:
    assert PODS.object_path(Key("team", "a"), "log") == "/api/v1/namespaces/team/pods/a/log"
    assert CONFIG_MAPS.object_path(Key("team", "a b?d#e")) == "/api/v1/namespaces/team/configmaps/a%20b%3Fd%23e"
    crd = CUSTOM_RESOURCE_DEFINITIONS.object_path(Key("", "things.example.dev"))
    assert crd == "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/things.example.dev"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a%2fb", "a\n", "\u00e9", "a" * 254])
def test_a_path_has_no_name_that_leads_elsewhere(name: str) -> None:
    with pytest.raises(ApiError, match=r"^404 NotFound: metadata\.name: .* cannot be a name: expected"):
        CONFIG_MAPS.object_path(Key("team", name))
    if name:
        with pytest.raises(ApiError, match=r"^404 NotFound: metadata\.namespace: .* cannot be a name: expected"):
            CONFIG_MAPS.collection_path(name)


def test_names_for_people_and_manifests() -> None:
    assert (str(PODS), PODS.api_version) == ("pods", "v1")
    assert (str(LEASES), LEASES.api_version) == ("leases.coordination.k8s.io", "coordination.k8s.io/v1")


def test_one_object_is_selected_by_its_name() -> None:
    assert Selection.of(Key("team", "a")) == Selection("team", fields="metadata.name=a")
