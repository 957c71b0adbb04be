"""A Triton backend for `backend: "onnxruntime"` models, on Triton's Python backend and ONNX Runtime's wheel.

Names, types and the batch limit come from each `config.pbtxt`. The stock image has its own
C++ backend of this name, so one model repository is served by both.
"""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """One instance of one model: a process with one session."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the graph; Triton calls this once.

        Raises:
            TritonModelException: the graph has other inputs or outputs than config.pbtxt.
        """
        config = json.loads(args["model_config"])
        filename = config.get("default_model_filename") or "model.onnx"
        graph = Path(args["model_repository"]) / args["model_version"] / filename
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = _threads(config)
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self._inputs = [entry["name"] for entry in config["input"]]
        self._outputs = [entry["name"] for entry in config["output"]]
        self._check_names()
        self._is_batching = config["max_batch_size"] > 0

    def execute(self, requests: list["pb_utils.InferenceRequest"]) -> list["pb_utils.InferenceResponse"]:
        """Answer the requests that Triton has gathered, each by one response, in their order."""
        if self._is_batching:
            return self._run(requests)
        return [response for request in requests for response in self._run([request])]

    def _check_names(self) -> None:
        """Fail at load, not at the first request, where config.pbtxt and the graph differ."""
        inputs = {node.name for node in self._session.get_inputs()}
        outputs = {node.name for node in self._session.get_outputs()}
        if inputs != set(self._inputs) or not outputs.issuperset(self._outputs):
            raise pb_utils.TritonModelException(
                f"config.pbtxt has {self._inputs} -> {self._outputs}, "
                f"the graph {sorted(inputs)} -> {sorted(outputs)}"
            )

    def _run(self, requests: list["pb_utils.InferenceRequest"]) -> list["pb_utils.InferenceResponse"]:
        """Run the rows of all requests at once, and return to each request its own."""
        columns = [
            [pb_utils.get_input_tensor_by_name(request, name).as_numpy() for request in requests]
            for name in self._inputs
        ]
        wanted = [set(request.requested_output_names()) for request in requests]
        names = [name for name in self._outputs if any(name in some for some in wanted)]
        feed = {
            name: tensors[0] if len(tensors) == 1 else np.concatenate(tensors)
            for name, tensors in zip(self._inputs, columns, strict=True)
        }
        try:
            values = self._session.run(names, feed)
        except Exception as err:  # noqa: BLE001 - the border of a plug-in: a fault answers the requests
            fault = pb_utils.TritonError(f"the graph failed: {err}")
            return [pb_utils.InferenceResponse(error=fault) for _ in requests]
        ends = np.cumsum([len(tensor) for tensor in columns[0]])[:-1]
        shares = [[value] if len(requests) == 1 else np.split(value, ends) for value in values]
        return [
            pb_utils.InferenceResponse(
                [
                    pb_utils.Tensor(name, share[i])
                    for name, share in zip(names, shares, strict=True)
                    if name in wanted[i]
                ]
            )
            for i in range(len(requests))
        ]


def _threads(config: dict[str, dict[str, dict[str, str]]]) -> int:
    """Return the threads of one run: one, unless config.pbtxt says more: instances must share the cores."""
    parameter = config.get("parameters", {}).get("intra_op_thread_count", {})
    return int(parameter.get("string_value", "1"))
