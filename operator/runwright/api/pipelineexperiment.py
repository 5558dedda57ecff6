"""`PipelineExperiment` (`runwright.dev/v1alpha1`): groups runs for clients of the KFP API (`Experiment`, v1beta1)."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from runwright.api.model import Model
from runwright.api.resources import API_VERSION, PIPELINE_EXPERIMENTS

KIND = "PipelineExperiment"
PLURAL = PIPELINE_EXPERIMENTS.plural
SHORT_NAME = "pexp"


class PipelineExperimentSpec(Model):
    """Name and description of an experiment."""

    display_name: Annotated[str, Field(min_length=1, max_length=255)] = Field(
        description="Name that clients of the KFP API use. The run service keeps it unique in the namespace. "
        "`Experiment.name` in the KFP API."
    )
    description: Annotated[str, Field(max_length=4096)] | None = Field(
        default=None, description="Purpose of the experiment. `Experiment.description` in the KFP API."
    )


class PipelineExperiment(Model):
    """A PipelineExperiment groups runs. A run refers to its experiment by uid, in `spec.references`."""

    api_version: str = API_VERSION
    kind: str = KIND
    metadata: dict[str, Any] = Field(default_factory=dict[str, Any])
    spec: PipelineExperimentSpec = Field(description="Name and description of the experiment.")
