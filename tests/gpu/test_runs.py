"""A run that is to be on a GPU fails where none is, and where no test ran on it."""

import os
import subprocess
import sys
from collections import Counter
from types import SimpleNamespace

import pytest

from tests.backends import BACKENDS, MissingBackendError
from tests.gpu.__main__ import PARTS, Step, run


@pytest.fixture
def hooks(pytestconfig, monkeypatch):
    """The root's conftest.py, as if nothing had run yet."""
    plugins = pytestconfig.pluginmanager.get_plugins()
    (found,) = (one for one in plugins if hasattr(one, "_idle_gpus"))
    monkeypatch.setattr(found, "RAN", Counter())
    return found


def ended(hooks, *, ran):
    """The exit status of a run on two backends, given the tests that ran."""
    backends = [BACKENDS["numpy"], BACKENDS["torch-cuda"]]
    option = SimpleNamespace(collectonly=False)
    config = SimpleNamespace(option=option, array_losses_backends=backends)
    session = SimpleNamespace(config=config, exitstatus=pytest.ExitCode.OK)
    for name, how in ran:
        properties = [("backend", name)]
        hooks.pytest_runtest_logreport(SimpleNamespace(**how, user_properties=properties))
    hooks.pytest_sessionfinish(session)
    return session.exitstatus


PASSED, SKIPPED = {"when": "call", "skipped": False}, {"when": "call", "skipped": True}


def test_a_run_without_a_test_on_its_gpu_fails(hooks):
    assert ended(hooks, ran=[("numpy", PASSED)]) == pytest.ExitCode.TESTS_FAILED
    assert ended(hooks, ran=[("torch-cuda", SKIPPED)]) == pytest.ExitCode.TESTS_FAILED
    assert ended(hooks, ran=[("torch-cuda", PASSED)]) == pytest.ExitCode.OK


def test_a_run_on_a_gpu_that_is_not_there_is_an_error():
    try:
        BACKENDS["cupy"].check()
    except MissingBackendError:
        environment = {**os.environ, "ARRAY_LOSSES_BACKENDS": "cupy"}
        command = (sys.executable, "-m", "pytest", "--co", "-q", __file__)
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == pytest.ExitCode.USAGE_ERROR
        assert "asks for backends that are missing: {'cupy'" in done.stderr
    else:
        pytest.skip("it is there")


def test_a_step_says_how_it_ended(tmp_path, capsys):
    quick = Step("quick", 60, ("-c", "print('done')"))
    assert run(quick, tmp_path, rehearse=False)
    assert (tmp_path / "quick.txt").read_text() == "done\n"
    assert not run(quick._replace(command=("-c", "raise SystemExit(3)")), tmp_path, rehearse=False)
    slow = Step("slow", 1, ("-c", "import time; print('on', flush=True); time.sleep(60)"))
    assert not run(slow, tmp_path, rehearse=False)
    out = capsys.readouterr().out
    assert "quick: status 0" in out
    assert "quick: status 3" in out
    assert "slow: status stopped after 1 s" in out
    assert out.endswith("on\n")


def test_a_part_takes_less_than_ten_minutes_and_all_less_than_fifteen():
    limits = [sum(step.seconds for step in steps) for steps in PARTS.values()]
    assert max(limits) < 600
    assert sum(limits) <= 900
