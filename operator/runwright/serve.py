"""`runwright serve`: the process of the run service."""
