"""The run service: the RPCs of KFP v1beta1 over PipelineRuns, for existing KFP clients."""

import os

# gRPC's core writes lines of its own to the standard error, which are no JSON, for what a client does: a compressed message, a
# large field. It reads this before the first use of `grpc`.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
