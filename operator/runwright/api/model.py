"""What all kinds of `runwright.dev/v1alpha1` have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Name = Annotated[str, Field(min_length=1, max_length=253)]


class Model(BaseModel):
    """Base of all parts of a resource: camelCase on the wire, unknown fields of a newer version are dropped."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", use_enum_values=False)
