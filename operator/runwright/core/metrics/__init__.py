"""Metrics that steps report."""
