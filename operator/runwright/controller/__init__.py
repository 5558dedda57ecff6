"""The operator: Kopf's handlers, cache, queue, reconciler, actions, process."""
