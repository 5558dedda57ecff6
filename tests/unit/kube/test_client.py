from __future__ import annotations

from runwright.kube.client import deletion


def test_a_deletion_takes_what_the_object_owns_and_names_only_the_preconditions_it_has() -> None:
    assert deletion() == {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
    assert deletion("u")["preconditions"] == {"uid": "u"}
    assert deletion("u", "7")["preconditions"] == {"uid": "u", "resourceVersion": "7"}
