"""Whether `up` creates, recreates or heals a cluster."""

from __future__ import annotations

from dataclasses import replace

import pytest
from localcluster.record import Action, Record, decide

COMPLETE = Record("default", 200, complete=True)


@pytest.mark.parametrize(
    ("record", "namespaces", "leftovers", "action"),
    [
        (None, False, False, Action.CREATE),
        (None, False, True, Action.RECREATE),
        (None, True, True, Action.RECREATE),
        (replace(COMPLETE, complete=False), True, True, Action.RECREATE),
        (COMPLETE, False, True, Action.RECREATE),
        (COMPLETE, True, True, Action.HEAL),
    ],
)
def test_up_heals_only_a_cluster_that_was_ready(
    record: Record | None, namespaces: bool, leftovers: bool, action: Action
) -> None:
    assert decide(record, namespaces, leftovers)[0] is action
