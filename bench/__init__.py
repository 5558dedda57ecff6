"""What the operator costs, measured on a cluster with Runwright deployed: `python -m bench`, or `make bench`."""
