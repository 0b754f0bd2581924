# SPDX-License-Identifier: Apache-2.0
"""Exceptions, one class for each remedy.

A message names what is wrong, the value, and the next step.
"""


class VideoDepthError(Exception):
    """Base of every exception that this package raises on purpose."""


class ConfigError(VideoDepthError):
    """A parameter, flag or settings file is wrong: change it and start again."""


class ModelError(VideoDepthError):
    """A checkpoint or exported graph is missing or does not fit: get another one."""


class InputError(VideoDepthError):
    """One input is unusable: a stream rejects and counts the frame, and goes on."""


class DeviceError(VideoDepthError):
    """The compute device failed: the stream stops until an operator checks the device."""


class BagError(VideoDepthError):
    """A bag or result file cannot be read or written, or lacks a topic."""


class Cancelled(VideoDepthError):  # noqa: N818 (not an error)
    """A long job was cancelled: finished stages are kept, and the same call resumes."""
