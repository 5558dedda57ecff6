"""The peer of the benchmark: Tekton Pipelines' controller, built from the Go modules pinned in this folder."""
