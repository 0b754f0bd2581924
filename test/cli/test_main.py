# SPDX-License-Identifier: Apache-2.0
import json
import resource
import subprocess
import sys

import pytest

from videodepth_ros.cli import COMMANDS, main

NAMES = (
    'doctor',
    'sample',
    'import',
    'run-bag',
    'refine',
    'fleet',
    'eval',
    'view',
    'export',
    'build',
    'weights',
    'demo',
)


def test_help_answers_without_the_heavy_libraries():
    code = (
        'import sys, runpy; sys.argv = ["videodepth", "--help"]\n'
        'try:\n    runpy.run_module("videodepth_ros.cli", run_name="__main__")\n'
        'except SystemExit:\n    pass\n'
        'heavy = {"numpy", "torch", "cv2", "rclpy", "onnxruntime", "rosbags"}\n'
        'sys.exit(", ".join(heavy & set(sys.modules)) or 0)'
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert used.ru_utime - before.ru_utime < 2  # 0.1 s; a busy machine takes time, but not this
    assert all(name in result.stdout for name in NAMES)


def test_a_reader_that_has_enough_is_no_error():
    command = [sys.executable, '-m', 'videodepth_ros.cli', 'weights', 'list']
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b''


@pytest.mark.parametrize('name', NAMES)
def test_every_command_has_help_with_examples(name, capsys):
    with pytest.raises(SystemExit) as exit_info:
        main([name, '--help'])
    assert exit_info.value.code == 0
    text = capsys.readouterr().out
    assert f'videodepth {name}' in text.partition('examples:')[2]
    assert '--json FILE' in text


def test_the_commands_are_those_of_the_contract():
    assert len(COMMANDS) == len(NAMES)


@pytest.mark.parametrize(
    'arguments',
    [
        ['nothing'],
        ['--frobnicate'],
        ['sample'],
        ['sample', 'out', '--size', '640'],
        ['sample', 'out', '--size', '00x480'],
        ['sample', 'out', '--seconds', '-1'],
        ['sample', 'out', '--seconds', 'nan'],
        ['sample', 'out', '--seed', '-3'],
        ['run-bag', 'in'],
        ['run-bag', 'in', 'out', '--model', 'nothing'],
        ['run-bag', 'in', 'out', '--engine', 'steam'],
        ['run-bag', 'in', 'out', '--max-range-m', 'x'],
        ['run-bag', 'in', 'out', '--stride', '0'],
        ['eval'],
        ['eval', 'a', 'b', '--align', 'shift'],
        ['export', 'nothing', 'out.onnx'],
        ['weights', 'remove'],
        ['weights', 'import'],
    ],
)
def test_wrong_usage_exits_with_two(arguments, capsys):
    with pytest.raises(SystemExit) as exit_info:
        main(arguments)
    assert exit_info.value.code == 2
    reason, usage = capsys.readouterr().err.splitlines()
    assert 'error: ' in reason
    assert usage.startswith('usage: videodepth')


@pytest.mark.parametrize(
    ('arguments', 'reason'),
    [
        (['run-bag', 'in', 'out', '--frobnicate'], 'unrecognized arguments: --frobnicate'),
        (['run-bag', 'in', 'out', '--model', 'nothing'], "argument --model: 'nothing': give one"),
        (['run-bag', 'in'], 'required: OUT_BAG'),
    ],
)
def test_wrong_usage_prints_the_reason_and_then_the_usage_of_the_command(
    arguments, reason, capsys
):
    with pytest.raises(SystemExit):
        main(arguments)
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith('videodepth run-bag: error: ')
    assert reason in first
    assert second.startswith('usage: videodepth run-bag IN_BAG OUT_BAG')


def test_without_arguments_the_help_is_printed(capsys):
    assert main([]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in NAMES)


def test_an_unwritable_json_path_is_wrong_usage(tmp_path, capsys):
    for path in (tmp_path / 'no' / 'folder.json', tmp_path):
        with pytest.raises(SystemExit) as exit_info:
            main(['weights', '--json', str(path)])
        assert exit_info.value.code == 2
        assert 'not a file in an existing folder' in capsys.readouterr().err


def test_ctrl_c_is_a_failure_without_a_traceback(run, monkeypatch):
    def interrupt(path):
        raise KeyboardInterrupt

    monkeypatch.setattr('videodepth_ros.bags.reader.open_bag', interrupt)
    assert run('eval', 'a', 'b') == (1, {'error': 'interrupted'})


def test_weights_list_states_licences(run, capsys):
    code, facts = run('weights')
    assert code == 0
    by_name = {model['name']: model for model in facts['models']}
    assert by_name['nano']['licence'] == 'Apache-2.0'
    assert not by_name['flashdepth-l']['commercial_use']
    assert 'no commercial use' in capsys.readouterr().out


def test_weights_path_of_a_missing_model_names_its_source(run, monkeypatch, tmp_path):
    monkeypatch.setenv('VIDEODEPTH_WEIGHTS', str(tmp_path))
    code, facts = run('weights', 'path', 'flashdepth-s')
    assert code == 1
    assert 'videodepth weights fetch' in facts['error']
    assert run('weights', 'path', 'nothing')[0] == 1


def test_weights_import_refuses_a_file_that_is_none(run, tmp_path):
    broken = tmp_path / 'broken.safetensors'
    broken.write_bytes(b'nothing')
    code, facts = run('weights', 'import', broken)
    assert code == 1
    assert 'broken.safetensors' in facts['error']


def test_as_a_program_it_has_the_same_exit_codes(tmp_path):
    def program(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, '-m', 'videodepth_ros.cli', *arguments],
            capture_output=True,
            text=True,
            check=False,
        )

    assert program('eval', str(tmp_path / 'nothing')).returncode == 1
    failed = program('eval', str(tmp_path / 'nothing'))
    assert 'Traceback' not in failed.stderr
    assert failed.stderr.count('\n') == 1
    assert program('eval').returncode == 2
    facts = tmp_path / 'facts.json'
    assert program('weights', '--json', str(facts)).returncode == 0
    assert json.loads(facts.read_text())['models']


def test_an_unknown_flag_prints_the_usage_of_its_command_and_the_nearest_flag(capsys):
    with pytest.raises(SystemExit) as exit_info:
        main(['refine', 'in', 'out', '--max-rangem', '3'])
    assert exit_info.value.code == 2
    printed = capsys.readouterr().err
    assert printed.startswith('videodepth refine: error: ')
    assert 'unrecognized arguments: --max-rangem 3; did you mean --max-range-m?' in printed


def test_version_is_that_of_the_manifest(root, capsys):
    with pytest.raises(SystemExit) as exit_info:
        main(['--version'])
    assert exit_info.value.code == 0
    version = capsys.readouterr().out.removeprefix('videodepth ').strip()
    assert f'<version>{version}</version>' in (root / 'package.xml').read_text()


def test_quiet_keeps_results_and_warnings_but_no_progress(run, scene, instant, tmp_path, capfd):
    assert run('run-bag', scene, tmp_path / 'loud')[0] == 0
    assert 'opening nano' in capfd.readouterr().err
    assert run('run-bag', scene, tmp_path / 'quiet', '--quiet')[0] == 0
    printed = capfd.readouterr()
    assert printed.err == ''
    assert 'frames in' in printed.out
