"""Kubernetes for any controller: requests, watches, credentials, Leases. Knows nothing of runs."""
