# SPDX-License-Identifier: Apache-2.0
"""Many recordings at once: one bag is one task, on processes of this machine or on Ray.

    find      recordings of globs and URIs                             place.py
    schedule  tasks with retries, on an engine                         schedule.py
    engines   processes of this machine; Ray                           local.py, ray_engine.py
    task      fetch a bag, run the job, store the results              task.py
    manifest  the state of each bag, as JSON Lines and Parquet         manifest.py
    summary   a page over all bags                                     summary.py

`run.py` puts them together.
"""
