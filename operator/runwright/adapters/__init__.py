"""What the ports are in a real cluster: the Kubernetes API by `kubernetes.aio`."""
