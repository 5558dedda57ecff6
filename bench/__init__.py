"""Measurements of the operator's cost, on a cluster with Runwright deployed: `make bench`, or `python -m bench`."""
