"""The resources of `runwright.dev`: pydantic models, and the CRDs and reference pages that are generated from them."""
