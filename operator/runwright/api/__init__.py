"""The PipelineRun resource: its models, and what is generated from them. No I/O."""
