# SPDX-License-Identifier: Apache-2.0
"""Make the virtual environment a ROS prefix when its Python starts; nothing needs sourcing.

ament_index_python and launch read AMENT_PREFIX_PATH. The type supports of messages are loaded by
name along LD_LIBRARY_PATH, which the loader reads only when a process starts: if it lacks the
folder of the environment, the process is replaced by itself with the variable set.
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
    # Set by a parent of another environment, it would disable the start-up hook of the wheels.
    os.environ.pop('_ROS_WHEELS_BOOTSTRAP_COMPLETE', None)
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
