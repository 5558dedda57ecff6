"""Retries: when a run is retried, and which of its nodes run again."""
