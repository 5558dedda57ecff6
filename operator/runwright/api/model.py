"""The base class and field types of all kinds of `runwright.dev/v1alpha1`."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from runwright.api.duration import DURATION_PATTERN, MAX_DURATION_LENGTH

Duration = Annotated[str, Field(pattern=DURATION_PATTERN, max_length=MAX_DURATION_LENGTH)]
"""A duration that `api.duration.duration_of` reads."""

Name = Annotated[str, Field(min_length=1, max_length=253)]


class Model(BaseModel):
    """Base of all parts of a resource: camelCase in JSON; drops fields that it does not know."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", use_enum_values=False)
