"""The shared library: a room per layer, imports only downwards (see `docs/architecture.md`)."""

import os

# ONNX Runtime's wheels send usage data to their maker unless this is set before they are first imported.
# Nothing leaves the machine here, so it stands where every import passes by.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
