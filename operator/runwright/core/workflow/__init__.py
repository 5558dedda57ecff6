"""Builds the Workflow of a run, and reads a Workflow into a record."""
