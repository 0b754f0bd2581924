# SPDX-License-Identifier: Apache-2.0
"""The fault matrix: what is injected, and what an operator and a consumer get.

One list for the live test (test/nodes/test_fault_matrix.py) and for docs/faults.md, which
``python -m test.support.fault_matrix`` writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / 'docs' / 'faults.md'
BEGIN, END = '<!-- fault matrix -->\n', '<!-- end of the fault matrix -->\n'


@dataclass(frozen=True)
class Fault:
    """One row.

    sees       what the operator sees: log, /diagnostics, ~/status
    published  what consumers get meanwhile
    recovery   what happens when the fault ends
    test       file::test that injects it; 'live' stands for the matrix itself
    """

    name: str
    sees: str
    published: str
    recovery: str
    test: str = 'live'


LIVE = 'test/nodes/test_fault_matrix.py'
REJECTED = 'warning with count and cause, `rejected`'
NOTHING = 'nothing for these images'
AT_ONCE = 'next image'

FAULTS = (
    Fault('no camera_info', 'warning `no camera_info on TOPIC`', 'depth, no cloud', AT_ONCE),
    Fault('camera_info with K = 0', 'warning `uncalibrated`', 'depth, no cloud', AT_ONCE),
    Fault('image of another size than camera_info', REJECTED, NOTHING, AT_ONCE),
    Fault('unknown distortion model', 'warning with the model', 'depth, not rectified', AT_ONCE),
    Fault('unknown encoding', REJECTED, NOTHING, AT_ONCE),
    Fault('rows with padding', '', 'depth', ''),
    Fault('rows shorter than the image', REJECTED, NOTHING, AT_ONCE),
    Fault('big-endian 16-bit image', '', 'depth', ''),
    Fault('truncated data', REJECTED, NOTHING, AT_ONCE),
    Fault('image of size zero', REJECTED, NOTHING, AT_ONCE),
    Fault('depth sent as picture', REJECTED, NOTHING, AT_ONCE),
    Fault('constant or saturated image', '', 'depth', ''),
    Fault('network returns NaN', 'warning, `resets_not_finite`', NOTHING, AT_ONCE),
    Fault('size changes', '`resets_size`', 'depth of the new size', ''),
    Fault('frame_id changes', '`resets_frame_id`', 'depth with the new frame_id', ''),
    Fault(
        'stamp is zero',
        '`resets_time_back`, warning on the clock',
        'depth with stamp zero',
        AT_ONCE,
    ),
    Fault('stamp is repeated', REJECTED, NOTHING, AT_ONCE),
    Fault('stamps run backwards', '`resets_time_back`', 'depth', AT_ONCE),
    Fault('stamp in the far future', '`resets_gap`, warning on the clock', 'depth', AT_ONCE),
    Fault('stamps in another clock', 'warning `behind the clock`', 'depth', '5 s of good stamps'),
    Fault('gap of 5 s', '`resets_gap`', 'depth', AT_ONCE),
    Fault('storm of resets', 'warning with reasons', 'depth', '10 s without a reset'),
    Fault('burst of 200 images', '`displaced`', 'depth of the newest', ''),
    Fault('camera falls silent', 'state `waiting`, warning `no image`', 'nothing', AT_ONCE),
    Fault('publisher of other QoS', '', 'depth', ''),
    Fault('two publishers of images', 'warning `publishers share`', 'depth', 'when one leaves'),
    Fault('subscribers come and go', 'state `idle` without any', 'depth to the others', ''),
    Fault('storm of parameters', 'refused values have a reason', 'depth', ''),
    Fault('device fails', 'state `failed`, error, `last_error`', 'nothing', 'activate'),
    Fault('out of memory in the network', 'state `failed`, error', 'nothing', 'activate'),
    Fault('engine cannot be opened', 'state `failed`, error', 'nothing', 'activate'),
    Fault('slow consumer', '', 'depth at the full rate to the others', ''),
    Fault(
        '16-bit images of 10, 12 or 14 bits',
        'note in the log',
        'depth, scaled by the bits in use',
        '',
        'test/nodes/test_image_decoder.py',
    ),
    Fault(
        'JPEG with a lost part',
        REJECTED,
        NOTHING,
        AT_ONCE,
        'test/messages/test_image.py::test_a_jpeg_that_has_lost_a_part_is_refused',
    ),
    Fault(
        'camera_info that is not in pixels, or stored by columns',
        'warning with count and cause, `rejected`',
        'nothing for these images',
        'next image',
        'test/messages/test_camera_info.py::test_a_camera_matrix_that_is_not_in_pixels_is_refused',
    ),
    Fault(
        'metric prior fails',
        'log, message in `/diagnostics`',
        'depth with the last scale',
        'the prior is tried again later',
        'test/stream/test_anchor.py::test_a_prior_that_failed_is_asked_again',
    ),
    Fault(
        'TensorRT plan computes something else',
        'note in the log, `precision`',
        'depth of the next precision',
        '',
        'test/engines/test_plans.py::test_where_no_precision_is_right_it_is_refused',
    ),
    Fault(
        'camera goes, another comes',
        'note on the calibration',
        'depth',
        AT_ONCE,
        'test/nodes/test_camera_subscription.py',
    ),
    Fault(
        'driver is killed, another camera comes without camera_info',
        REJECTED,
        NOTHING,
        'depth, no cloud, within 2 s',
        'test/nodes/test_camera_subscription.py'
        '::test_the_latched_calibration_of_a_killed_driver_is_forgotten',
    ),
    Fault(
        'bag loops, simulated clock jumps',
        '`resets_clock_jump`',
        'depth',
        AT_ONCE,
        'test/nodes/test_resets.py::test_a_bag_that_loops_in_simulated_time_starts_afresh',
    ),
    Fault(
        'weights missing',
        'state `failed`, error',
        'nothing',
        'configure',
        'test/nodes/test_lifecycle.py::test_weights_that_are_missing_stop_configure',
    ),
    Fault(
        'engine of another machine, damaged or without record',
        'note in the log',
        'depth',
        'rebuilt at opening',
        'test/engines/test_store.py::test_broken_artefact_is_replaced_and_the_operator_told',
    ),
    Fault(
        'cache cannot be written',
        'error with the folder',
        'nothing',
        'next activate',
        'test/engines/test_store.py::test_cache_that_cannot_be_used_is_an_error_with_a_mend',
    ),
    Fault(
        'build interrupted',
        'exit status 1',
        'nothing',
        'the next build starts anew',
        'test/nodes/test_lifecycle.py::test_ctrl_c_cancels_a_build',
    ),
    Fault(
        'SIGINT, SIGTERM',
        'exit status 0',
        'nothing afterwards',
        'restart',
        'test/nodes/test_lifecycle.py::test_a_signal_ends_the_process_cleanly_while_it_works',
    ),
    Fault(
        'bag corrupted, unsorted, compressed or unfinished',
        'the loss in the output',
        'what can be read',
        '',
        'test/bags/test_reader.py',
    ),
    Fault(
        'two parents, cycles of frames',
        'note in the output',
        'results without these frames',
        '',
        'test/bags/test_frame_tree.py',
    ),
    Fault(
        'odometry of another clock, or without a transform to the camera',
        'note in the output',
        'results without it',
        '',
        'test/refine/test_odometry_notes.py',
    ),
    Fault(
        'camera_info changes between frames (zoom)',
        'note in the output',
        'poses and depth by the intrinsics of each frame',
        '',
        'test/sfm/test_zoom.py',
    ),
    Fault(
        'disk full during a job',
        'error with the space that is needed',
        'nothing',
        'the same call resumes',
        'test/refine/test_completion.py::test_a_full_disk_is_named_with_the_need',
    ),
    Fault(
        'job killed',
        '',
        'nothing',
        'the same call resumes and writes the same bytes',
        'test/refine/test_kill.py',
    ),
)


def table() -> str:
    """Return the matrix as a table of Markdown."""
    rows = [
        '| fault | what the operator sees | what is published | recovery | test |',
        '|---|---|---|---|---|',
    ]
    for fault in FAULTS:
        test = LIVE if fault.test == 'live' else fault.test
        cells = (fault.name, fault.sees, fault.published, fault.recovery, f'`{test}`')
        rows.append(f'| {" | ".join(cells)} |'.replace('|  |', '| |').replace('|  |', '| |'))
    return '\n'.join([*rows, ''])


def with_table(document: str) -> str:
    """Return a document with the present table between its marks."""
    head, _, rest = document.partition(BEGIN)
    return f'{head}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}'


if __name__ == '__main__':
    DOCUMENT.write_text(with_table(DOCUMENT.read_text()))
