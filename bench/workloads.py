"""The WorkflowSpecs of the measurements."""

from __future__ import annotations

from tests.e2e.cluster import Object
from tests.e2e.manifests import instant, one_step, shell

NO_POD = instant()
ONE_STEP = one_step("true")
TWO_STEPS: Object = {
    "entrypoint": "main",
    "templates": [
        {
            "name": "main",
            "dag": {
                "tasks": [
                    {"name": "first", "template": "step"},
                    {"name": "second", "template": "step", "depends": "first"},
                ]
            },
        },
        shell("true", "step"),
    ],
}
