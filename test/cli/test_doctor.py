# SPDX-License-Identifier: Apache-2.0
import importlib.util
from types import SimpleNamespace

import pytest

from videodepth_ros.cli import diagnosis
from videodepth_ros.cli.diagnosis import DiagnosisOptions, EngineFacts


def runs(name: str) -> EngineFacts:
    return EngineFacts(name, '1.0', True, 'CPU', '320x240', 9.0, None, '')


def fails(name: str) -> EngineFacts:
    return EngineFacts(
        name, None, False, None, None, None, f'{name} is not installed', f'pip install {name}'
    )


@pytest.fixture
def engines(monkeypatch):
    def use(check):
        monkeypatch.setattr('videodepth_ros.cli.doctor.check_engine', check)

    return use


def test_a_machine_on_which_an_engine_runs_is_well(run, engines, capsys):
    engines(lambda name: runs(name) if name == 'onnx' else fails(name))
    code, facts = run('doctor')
    assert code == 0
    assert {'ros', 'gpu', 'engines', 'weights'} <= set(facts)
    printed = capsys.readouterr().out
    assert 'onnx 1.0: 9.0 ms a frame at 320x240, CPU' in printed
    assert 'torch is not installed' in printed
    assert 'pip install torch' in printed
    assert {'what': 'engine torch: torch is not installed', 'fix': 'pip install torch'} in facts[
        'gaps'
    ]


def test_without_any_engine_it_fails(run, engines):
    engines(fails)
    assert run('doctor')[0] == 1


def test_ros_is_checked_in_a_child_process(monkeypatch):
    facts = diagnosis.check_ros()
    if importlib.util.find_spec('rclpy'):
        assert facts.rclpy
        assert facts.rmw
    monkeypatch.setattr(diagnosis, 'ROS_PROBE', 'import os; os.abort()')
    assert not diagnosis.check_ros().rclpy
    monkeypatch.setattr(diagnosis, 'ROS_PROBE', 'import nothing_of_that_name')
    assert 'nothing_of_that_name' in diagnosis.check_ros().problem


@pytest.mark.parametrize('variable', diagnosis.PROFILE_VARIABLES)
def test_a_profile_that_is_not_there_is_a_gap(run, engines, monkeypatch, tmp_path, variable):
    engines(runs)
    for each in diagnosis.PROFILE_VARIABLES:
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv(variable, str(tmp_path / 'nothing.xml'))
    facts = run('doctor')[1]
    assert any(f'{variable} names {tmp_path}' in gap['what'] for gap in facts['gaps'])
    assert facts['ros']['profile_variable'] == variable


def ros_facts(rmw: str) -> diagnosis.RosFacts:
    variable = diagnosis.PROFILE_VARIABLES[0]
    return diagnosis.RosFacts('jazzy', True, rmw, True, variable, None, False, None)


def test_the_middleware_in_use_and_its_needs(monkeypatch, tmp_path):
    assert 'profile of the live node' in diagnosis.middleware_line(ros_facts('rmw_fastrtps_cpp'))
    assert 'rmw_zenohd' in diagnosis.middleware_line(ros_facts('rmw_zenoh_cpp'))
    assert 'receive buffers' in diagnosis.middleware_line(ros_facts('rmw_cyclonedds_cpp'))
    limit = tmp_path / 'rmem_max'
    monkeypatch.setattr(diagnosis, 'RECEIVE_BUFFER', limit)
    limit.write_text('212992\n')
    ((what, fix),) = diagnosis.middleware_gaps(ros_facts('rmw_cyclonedds_cpp'))
    assert '212992' in what
    assert fix == 'sudo sysctl -w net.core.rmem_max=8388608'
    assert not diagnosis.middleware_gaps(ros_facts('rmw_fastrtps_cpp'))
    limit.write_text('8388608\n')
    assert not diagnosis.middleware_gaps(ros_facts('rmw_cyclonedds_cpp'))


def test_little_shared_memory_is_a_gap(monkeypatch, tmp_path):
    assert diagnosis.shared_memory_gap() is None or 'MB' in diagnosis.shared_memory_gap()
    monkeypatch.setattr(diagnosis, 'SHARED_MEMORY', tmp_path / 'nothing')
    assert 'missing' in diagnosis.shared_memory_gap()
    monkeypatch.setattr(diagnosis, 'SHARED_MEMORY', tmp_path)
    monkeypatch.setattr(diagnosis, 'OPTIONS', DiagnosisOptions(min_shared_memory_mb=10**9))
    assert 'less than' in diagnosis.shared_memory_gap()


def test_an_engine_is_tried_with_the_bundled_model(instant):
    facts = diagnosis.check_engine('onnx')
    assert facts.ok
    assert facts.device == 'test'
    assert instant[0].seen == list(range(diagnosis.OPTIONS.steps))
    assert instant[0].closed


def test_a_missing_engine_has_a_fix():
    facts = diagnosis.check_engine('no_such_engine')
    assert not facts.ok
    assert facts.fix == 'pip install no_such_engine'


def test_without_a_gpu_its_engines_are_no_gap(run, engines, monkeypatch):
    monkeypatch.setattr('videodepth_ros.cli.doctor.find_gpus', lambda: ())
    engines(lambda name: runs(name) if name == 'onnx' else fails(name))
    facts = run('doctor')[1]
    assert {engine['name'] for engine in facts['engines']} == {'onnx', 'torch'}
    assert facts['gpu_needs'] == []


def test_with_a_gpu_its_engines_are_tested_and_needs_are_estimated(
    run, engines, monkeypatch, capsys
):
    gpu = diagnosis.GpuFacts('NVIDIA Test 9000', 24564, '580.1')
    monkeypatch.setattr('videodepth_ros.cli.doctor.find_gpus', lambda: (gpu,))
    engines(lambda name: runs(name) if name == 'onnx' else fails(name))
    facts = run('doctor')[1]
    assert {'tensorrt', 'torch-cuda'} < {engine['name'] for engine in facts['engines']}
    assert any(gap['what'].startswith('engine tensorrt') for gap in facts['gaps'])
    needs = {need['model']: need for need in facts['gpu_needs']}
    assert needs['nano']['memory_mb'] < needs['flashdepth-s']['memory_mb']
    assert needs['flashdepth-s']['memory_mb'] < needs['flashdepth-l']['memory_mb'] < 4000
    printed = capsys.readouterr().out
    assert 'flashdepth-l at 924x518: about' in printed
    assert '`videodepth build flashdepth-l`' in printed
    assert not any('GPU memory' in gap['what'] for gap in facts['gaps'])


def test_a_model_that_does_not_fit_into_the_gpu_is_a_gap(run, engines, monkeypatch, tmp_path):
    monkeypatch.setenv('VIDEODEPTH_WEIGHTS', str(tmp_path))
    gpu = diagnosis.GpuFacts('NVIDIA Tiny', 256, '580.1')
    monkeypatch.setattr('videodepth_ros.cli.doctor.find_gpus', lambda: (gpu,))
    engines(runs)
    gap, other = (gap for gap in run('doctor')[1]['gaps'] if 'GPU memory' in gap['what'])
    assert gap['what'].startswith('nano at ')
    assert other['what'].startswith('nano-1 at ')  # the others' weights are not here
    assert 'the GPU has 256' in gap['what']
    assert 'max_pixels' in gap['fix']


def test_a_gpu_whose_tool_is_missing_is_found_by_its_device(monkeypatch, tmp_path):
    monkeypatch.setenv('PATH', str(tmp_path))
    monkeypatch.setattr('videodepth_ros.engines.open.GPU_DEVICES', (tmp_path / 'nothing',))
    assert diagnosis.find_gpus() == ()
    monkeypatch.setattr('videodepth_ros.engines.open.GPU_DEVICES', (tmp_path / 'no', tmp_path))
    (gpu,) = diagnosis.find_gpus()
    assert (gpu.name, gpu.memory_mb) == (f'{tmp_path}, of unknown name', 0)


def test_tensorrt_need_not_come_from_pip(monkeypatch):
    monkeypatch.setattr(
        'videodepth_ros.engines.tensorrt_plan.find_tensorrt',
        lambda: SimpleNamespace(version='10.3.0', flavour='tensorrt'),
    )
    facts = diagnosis.check_engine('tensorrt')
    assert facts.version == '10.3.0 (tensorrt)'
    assert not facts.ok  # for there is no GPU, or no plan of a TensorRT that is no module


def test_gpus_are_those_that_the_driver_names(monkeypatch, tmp_path):
    tool = tmp_path / 'nvidia-smi'
    tool.write_text(
        '#!/bin/sh\necho "NVIDIA Test 9000, 24564, 555.1"\necho "Orin, [N/A], 540.4"\n'
    )
    tool.chmod(0o755)
    monkeypatch.setenv('PATH', str(tmp_path), prepend=':')
    assert [(gpu.name, gpu.memory_mb) for gpu in diagnosis.find_gpus()] == [
        ('NVIDIA Test 9000', 24564),
        ('Orin', 0),
    ]
    tool.write_text('#!/bin/sh\nexit 9\n')
    assert diagnosis.find_gpus() == ()
    monkeypatch.setattr(diagnosis, 'OPTIONS', DiagnosisOptions(probe_timeout_s=0.1))
    tool.write_text('#!/bin/sh\nexec sleep 600\n')
    assert [gpu.name for gpu in diagnosis.find_gpus()] == ['a GPU whose driver does not answer']
