"""Detection of an installed Argo."""

from __future__ import annotations

from localcluster.argo_install import controllers


def test_an_argo_controller_is_found_by_its_image() -> None:
    containers = [{"image": "x/workflow-controller:v3"}, {"image": "sidecar"}]
    item = {
        "kind": "Deployment",
        "metadata": {"namespace": "workflows", "name": "ctl"},
        "spec": {"template": {"spec": {"containers": containers}}},
    }
    assert controllers({"items": [item]}) == [("workflows", "x/workflow-controller:v3")]
