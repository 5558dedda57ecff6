"""The peer of the benchmark: Tekton Pipelines' controller, built from the Go modules that are pinned here."""
