# SPDX-License-Identifier: Apache-2.0
"""Where a streaming step runs: torch, ONNX Runtime, TensorRT."""
