"""The run service: KFP's v1beta1 RPCs over PipelineRuns, for clients that exist."""
