# SPDX-License-Identifier: Apache-2.0
"""The networks, in torch, each as a step with an explicit state."""
