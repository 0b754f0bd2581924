# SPDX-License-Identifier: Apache-2.0
"""Errors, one class for each thing that the operator does next.

A message says what is wrong, with which value, and how to mend it.
"""


class VideoDepthError(Exception):
    """Base of every error that this package raises on purpose."""


class ConfigError(VideoDepthError):
    """A parameter, flag or file of settings is wrong: change it and start again."""


class ModelError(VideoDepthError):
    """A checkpoint or exported graph is missing or does not fit: get another one."""


class InputError(VideoDepthError):
    """One frame cannot be used: it is rejected and counted, and the stream goes on."""


class DeviceError(VideoDepthError):
    """The compute device failed: the stream stops until somebody looks at the device."""


class BagError(VideoDepthError):
    """A recording cannot be read or written, or has no such topic."""


class Cancelled(VideoDepthError):  # noqa: N818 (nothing went wrong)
    """Somebody ended a long job: what it has done is kept, and the same call goes on."""
