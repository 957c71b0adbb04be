"""All three services in one process: in-memory queue, onnxruntime; the embedded default."""
