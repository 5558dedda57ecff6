"""A Kubernetes cluster with Argo Workflows on this machine: docs/local-cluster.md."""
