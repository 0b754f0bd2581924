# SPDX-License-Identifier: Apache-2.0
"""Makes a virtual environment a ROS prefix whenever its Python starts: nothing must be sourced.

ament_index_python and launch read AMENT_PREFIX_PATH. The type supports of messages are opened by
name along LD_LIBRARY_PATH, which the loader reads once, when a process starts: where it lacks our
folder, the process starts itself again.
"""

import os
import sys


def with_entry(variable, entry):
    """Return the search path in ``variable`` with ``entry`` in front, each entry once."""
    others = os.environ.get(variable, '').split(os.pathsep)
    return os.pathsep.join([entry, *(other for other in others if other not in ('', entry))])


library = os.path.join(sys.prefix, 'lib')
os.environ['AMENT_PREFIX_PATH'] = with_entry('AMENT_PREFIX_PATH', sys.prefix)
if library not in os.environ.get('LD_LIBRARY_PATH', '').split(os.pathsep):
    os.environ['LD_LIBRARY_PATH'] = with_entry('LD_LIBRARY_PATH', library)
    # A parent from another environment may have left this mark, at which the wheels' own hook
    # would stand aside.
    os.environ.pop('_ROS_WHEELS_BOOTSTRAP_COMPLETE', None)
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
