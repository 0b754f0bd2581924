# SPDX-License-Identifier: Apache-2.0
"""Device and precision of a network of the offline job."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch

from videodepth_ros.core.errors import ConfigError, DeviceError

PRECISIONS = {'fp32': torch.float32, 'fp16': torch.float16, 'bf16': torch.bfloat16}


@dataclass(frozen=True)
class DevicePrecision:
    """A device and a precision."""

    device: torch.device
    dtype: torch.dtype

    def batch(self, asked: int, on_gpu: int) -> int:
        """Return the batch size: the given one, else ``on_gpu`` on a GPU and 1 on a CPU."""
        return asked or (on_gpu if self.device.type == 'cuda' else 1)


def select_device(device: str, precision: str) -> DevicePrecision:
    """Return device and precision by name.

    device     ``auto`` (a GPU if there is one), ``cpu``, ``cuda`` or ``cuda:N``
    precision  ``auto`` (fp32 on a CPU, else fp16), ``fp32``, ``fp16`` or ``bf16``
    raises     ConfigError for an unknown name, DeviceError where there is no such GPU
    """
    if not re.fullmatch(r'auto|cpu|cuda(:\d+)?', device):
        raise ConfigError(f'there is no device {device!r}: choose auto, cpu, cuda or cuda:N')
    if precision not in ('auto', *PRECISIONS):
        raise ConfigError(
            f'there is no precision {precision!r}: choose auto, {", ".join(PRECISIONS)}'
        )
    if device == 'auto':
        device = 'cuda' if torch.cuda.is_available() else 'cpu'
    found = torch.device(device)
    if found.type == 'cuda' and (found.index or 0) >= torch.cuda.device_count():
        raise DeviceError(
            f'torch finds no GPU for {device}: choose cpu, or install a torch that '
            'was built for the CUDA driver of this machine'
        )
    if precision == 'auto':
        precision = 'fp16' if found.type == 'cuda' else 'fp32'
    return DevicePrecision(found, PRECISIONS[precision])
