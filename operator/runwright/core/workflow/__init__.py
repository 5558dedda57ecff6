"""From a run to its Workflow, and what a Workflow says."""
