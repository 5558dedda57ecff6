"""Runwright: Kubeflow Pipelines' v1beta1 run service as a Kubernetes operator over Argo Workflows."""

__version__ = "0.1.0"
