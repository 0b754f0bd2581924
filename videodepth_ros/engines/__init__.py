# SPDX-License-Identifier: Apache-2.0
"""Inference engines: torch, ONNX Runtime, OpenVINO, TensorRT; export and build."""
