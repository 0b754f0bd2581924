# SPDX-License-Identifier: Apache-2.0
"""Bags and results in a bucket of a local server of the S3 protocol."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from videodepth_ros.fleet.manifest import DONE

pytest.importorskip('s3fs', reason='pip install s3fs')
boto3 = pytest.importorskip('boto3', reason='pip install "moto[server]"')
moto = pytest.importorskip('moto.server', reason='pip install "moto[server]"')

pytestmark = pytest.mark.slow

CALL = """
import sys
from test.fleet import jobs
from videodepth_ros.fleet.options import FleetOptions
from videodepth_ros.fleet.place import Place, find_recordings
from videodepth_ros.fleet.run import Fleet, FleetJob

found, _ = find_recordings(['s3://drives/*.mcap'])
options = FleetOptions(engine='local', workers=2, work=sys.argv[1])
job = FleetJob('refine', jobs.size_job, None, {})
facts = Fleet(job, found, Place.of('s3://drives/out'), options).run()
print(facts.done, facts.skipped, facts.failed)
"""


@pytest.fixture
def store(monkeypatch):
    server = moto.ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv('AWS_ENDPOINT_URL', f'http://{host}:{port}')
    monkeypatch.setenv('AWS_ACCESS_KEY_ID', 'any')
    monkeypatch.setenv('AWS_SECRET_ACCESS_KEY', 'any')
    store = boto3.client('s3', region_name='us-east-1')
    store.create_bucket(Bucket='drives')
    yield store
    server.stop()


def content(store, key):
    return store.get_object(Bucket='drives', Key=key)['Body'].read()


def test_a_fleet_reads_and_writes_a_bucket(store, tmp_path, root):
    for name in ('a', 'b'):
        store.put_object(Bucket='drives', Key=f'{name}.mcap', Body=name.encode())
    command = [sys.executable, '-c', CALL, str(tmp_path / 'work')]
    for counts in ('2 0 0', '0 2 0'):  # the second time they are done before
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        assert done.stdout.strip() == counts, done.stderr[-3000:]
    assert content(store, 'out/a/text') == b'A'
    rows = map(json.loads, content(store, 'out/manifest.jsonl').splitlines())
    assert {row['name']: row['status'] for row in rows} == {'a': DONE, 'b': DONE}
