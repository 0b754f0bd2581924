# SPDX-License-Identifier: Apache-2.0
"""The stages of a job; each takes the results of earlier ones and returns its own."""
