"""A Kubernetes cluster with Argo Workflows on the machine at hand: see docs/local-cluster.md."""
