"""The run service: the RPCs of KFP v1beta1 over PipelineRuns, for existing KFP clients."""
