"""`kubectl runwright`: what a person does with runs at a shell, straight on the Kubernetes API."""
