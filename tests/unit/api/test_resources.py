"""Resources that the client requests."""

from __future__ import annotations

from runwright.api import resources
from runwright.api.kinds import KINDS
from runwright.kube.resource import Resource

ALL = [value for value in vars(resources).values() if isinstance(value, Resource)]


def test_every_kind_of_runwright_has_a_resource():
    own = {resource.plural for resource in ALL if resource.group == resources.GROUP}
    assert own == {kind.plural for kind in KINDS}


def test_only_cluster_workflow_templates_are_cluster_scoped():
    cluster_scoped = [resource for resource in ALL if not resource.namespaced]
    assert cluster_scoped == [resources.CLUSTER_WORKFLOW_TEMPLATES]
