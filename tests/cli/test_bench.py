"""The benchmark: its inputs, its arithmetic, its files, and a small run from end to end."""

import dataclasses
import json
import sys
from importlib import import_module, util

import numpy as np
import pytest

from tests.benchmarks import command as bench
from tests.benchmarks.command import main

# The framework sessions of nox have no `bench` extra; the session `agreement` has what it needs.
for package in ("torch", "rich", "matplotlib"):
    pytest.importorskip(package)


def module(name):
    return import_module(f"tests.benchmarks.{name}")


workloads, contenders, peers = map(module, ("workloads", "contenders", "peers"))
timing, floors, goals = map(module, ("timing", "floor", "goals"))
memory, scaling, results, tables = map(module, ("memory", "scaling", "results", "tables"))
figures, comparison = module("figures"), module("comparison")

FLOOR = floors.Floor(2, 40e9, 4e9, 5e9)
SMALL = workloads.Workload("small", (2, 3, 8, 8))
BINARY = workloads.Workload("binary", (2, 1, 8, 8))


def row(contender, milliseconds, **changes):
    """Return a timed row; who is called ours... is ours."""
    ours = contender.startswith("array_losses")
    time = timing.Seconds(milliseconds / 1e3, milliseconds / 1e3 * 1.1)
    made = timing.Row("eager", "a", "ce", 2, contender, "torch", ours, False, 5, time, time)
    return dataclasses.replace(made, **changes)


@pytest.fixture
def measured():
    """Results of every part, made up."""
    ours, other = "array_losses, NumPy", "array_losses, torch"
    times = [
        row(who, 10 * (1 + k), loss=loss, workload=name, threads=threads)
        for loss in ("ce", "dice", "lovasz", "ce+dice")
        for name in ("a", "e")
        for threads in (2, 1)
        for k, who in enumerate((ours, other, "kornia", "monai DiceCELoss", "torch"))
    ]
    times += [
        row("array_losses, JAX", 7.0, mode="jit", framework="jax"),
        row("optax", 9.0, mode="jit", framework="jax"),
        row("keras", 0.0, forward=None, gradient=None, problem="ValueError: no", loss="focal"),
    ]
    sizes = [
        memory.MemoryRow(
            "a", loss, who, "numpy", who != "torch", False, 80 << 20, 5 << 20, peak << 20
        )
        for loss in ("ce", "lovasz")
        for who, peak in ((ours, 90), (other, 90 if loss == "ce" else 170), ("torch", 240))
    ]
    growth = [
        scaling.ScalingRow("ce", who, who == ours, False, 1 << power, 1e-8 * 2**power)
        for power in (10, 12, 14)
        for who in (ours, "torch")
    ]
    return results.Results(
        {"date": "2025-01-01 00:00 UTC", "cores": "2", "numpy": "2.4"},
        {"smp": "not installed: pip install segmentation-models-pytorch"},
        {2: FLOOR, 1: dataclasses.replace(FLOOR, threads=1)},
        times,
        sizes,
        growth,
    )


@pytest.mark.parametrize("name", ["b", "e", "a-last", "d"])
def test_inputs_look_like_training(name):
    workload = dataclasses.replace(workloads.WORKLOADS[name])
    if workload.elements > 1e7:
        workload = dataclasses.replace(workload, shape=(2, 19, 64, 64))
    inputs = workloads.make_inputs(workload)
    assert inputs.logits.shape == workload.shape
    assert inputs.labels.shape == (workload.shape[0], *workload.shape[2:])
    assert (inputs.logits.dtype, inputs.labels.dtype) == (np.float32, np.int64)
    expected = {0, 1} if workload.binary else set(range(workload.shape[1]))
    assert set(np.unique(inputs.labels)) == expected
    guess = (inputs.logits[:, 0] > 0) if workload.binary else inputs.logits.argmax(1)
    # Better than chance, and far from perfect.
    assert 1.3 / max(2, workload.shape[1]) < (guess == inputs.labels).mean() < 0.95
    np.testing.assert_array_equal(workloads.make_inputs(workload).logits, inputs.logits)


def test_channels_last_is_how_they_lie_in_memory():
    last = workloads.make_inputs(dataclasses.replace(SMALL, classes_last=True)).logits
    assert last.shape == SMALL.shape
    assert np.moveaxis(last, 1, -1).flags.c_contiguous
    assert workloads.make_inputs(SMALL).logits.flags.c_contiguous


@pytest.mark.parametrize("power", range(10, 27))
def test_a_workload_of_so_many_pixels(power):
    workload = workloads.of_pixels(1 << power, 4)
    assert workload.pixels == 1 << power
    assert workload.elements == 4 << power


@pytest.mark.parametrize("workload", [SMALL, BINARY], ids=lambda one: one.name)
@pytest.mark.parametrize("loss", list(tables.TITLES))
def test_our_calls_agree(loss, workload):
    """NumPy and torch are called with the same inputs, and give a value and a fresh gradient."""
    inputs = workloads.make_inputs(workload)
    ours = [one for one in contenders.contenders("eager", loss, workload) if one.ours]
    found = []
    for one in (one for one in ours if not one.binned):
        calls = one.prepare(inputs)
        value, first = calls.gradient()
        assert calls.gradient()[1] is not first
        assert float(calls.forward()) == pytest.approx(float(value), rel=1e-6)
        found.append(np.asarray(first))
    assert len(found) == 2
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("workload", [SMALL, BINARY], ids=lambda one: one.name)
@pytest.mark.parametrize(("loss", "peer"), [("ce", "torch"), ("lovasz", "original style")])
def test_peers_that_need_only_torch_give_our_gradient(loss, peer, workload):
    inputs = workloads.make_inputs(workload)
    found = {one.name: one for one in contenders.contenders("eager", loss, workload)}
    value, gradient = found[peer].prepare(inputs).gradient()
    ours, slope = found["array_losses, NumPy"].prepare(inputs).gradient()
    assert float(value) == pytest.approx(float(ours), rel=1e-5)
    np.testing.assert_allclose(gradient.numpy(), slope, rtol=1e-3, atol=1e-7)


def test_a_missing_peer_is_named_and_left_out(monkeypatch):
    find = util.find_spec
    absent = ("kornia", "monai", "optax")
    monkeypatch.setattr(util, "find_spec", lambda name: None if name in absent else find(name))
    named = peers.missing()
    assert named.keys() >= set(absent)
    assert "pip install monai" in named["monai"]
    for mode in ("eager", "compile", "jit"):
        for loss in tables.TITLES:
            found = {one.name for one in contenders.contenders(mode, loss, SMALL)}
            assert not any(name in one for name in absent for one in found)
            assert any(one.startswith("array_losses") for one in found)


def test_the_floor_is_made_of_positive_rates_and_grows_with_the_logits(monkeypatch):
    monkeypatch.setattr(floors, "_SECONDS", 0.02)
    floor = floors.measure_floor(1)
    rates = dataclasses.astuple(floor)[1:]
    assert all(1e6 < rate < 1e13 for rate in rates)
    small, large = (workloads.of_pixels(1 << power, 4) for power in (10, 20))
    assert 0 < floor.forward(small) < floor.gradient(small) < floor.gradient(large)


def test_the_floor_in_numbers():
    workload = workloads.WORKLOADS["a"]
    size = 4 * 19 * 512 * 512
    assert FLOOR.forward(workload) == pytest.approx(size / 4e9)  # more than reading takes
    assert FLOOR.gradient(workload) == pytest.approx(size / 4e9 + 4 * size / 5e9)
    # Less than glibc keeps is not fresh: written at the rate of a copy.
    small = workloads.WORKLOADS["e"]
    assert FLOOR.gradient(small) == pytest.approx(FLOOR.forward(small) + small.logits_bytes / 40e9)


def test_a_group_is_measured_in_turn():
    group = timing.Group("eager", SMALL, "ce", 1)
    rows = timing.measure(group, timing.Effort(0.0, least=3))
    ours = [one for one in rows if one.ours]
    assert [one.contender for one in ours] == ["array_losses, NumPy", "array_losses, torch"]
    assert "torch" in [one.contender for one in rows]
    for one in rows:
        assert one.problem is None, one
        assert one.rounds == 3
        assert 0 < one.forward.minimum <= one.forward.median
        assert 0 < one.gradient.minimum <= one.gradient.median


def test_who_cannot_be_called_is_a_row_with_a_problem(monkeypatch):
    def refuse(inputs):
        msg = "not today\nnor tomorrow"
        raise RuntimeError(msg)

    broken = contenders.Contender("kornia", "torch", refuse)
    monkeypatch.setattr(timing, "contenders", lambda *_: [broken])
    (one,) = timing.measure(timing.Group("eager", SMALL, "ce", 1), timing.Effort(0.0, least=1))
    assert one.problem == "RuntimeError: not today"
    assert (one.forward, one.gradient, one.rounds) == (None, None, 0)


def test_verdicts_compare_with_the_best_peer():
    rows = [row("array_losses, NumPy", 3.0), row("keras", 20.0), row("torch", 10.0)]
    rows.append(row("kornia", 1.0, gradient=None, problem="ValueError"))
    (one,) = goals.verdicts(rows)
    assert (one.peer, one.goal, one.met) == ("torch", 0.35, True)
    assert one.ratio == pytest.approx(0.3)
    rows[0] = row("array_losses, NumPy", 3.6)
    assert goals.verdicts(rows)[0].met is False


def test_verdicts_of_a_sum_hold_it_against_the_parts():
    rows = [
        row("array_losses, NumPy", 6.0, loss="ce+dice"),
        row("monai DiceCELoss", 30.0, loss="ce+dice"),
        row("torch", 4.0),
        row("kornia", 8.0, loss="dice"),
    ]
    (one,) = [one for one in goals.verdicts(rows) if one.line == "ce+dice"]
    assert (one.peer, one.ratio) == ("torch and kornia", pytest.approx(0.5))
    (one,) = goals.verdicts(rows[:3])  # no Dice alone: nothing to add up
    assert (one.peer, one.ratio) == ("monai DiceCELoss", pytest.approx(0.2))


def test_goals_are_for_all_threads_and_half_precision_for_float32():
    rows = [row("array_losses, NumPy", 3.0, threads=1), row("torch", 10.0, threads=1)]
    rows += [row("array_losses, NumPy", 2.0), row("torch", 5.0)]
    found = {one.row.threads: one for one in goals.verdicts(rows)}
    assert (found[1].goal, found[1].met) == (None, None)
    assert found[2].goal == 0.35
    half = [row("array_losses, torch", 9.0), row(contenders.IN_FLOAT32, 10.0), row("torch", 1.0)]
    half = [dataclasses.replace(one, workload="a-float16") for one in half]
    (one,) = goals.verdicts(half)
    assert (one.goal, one.ratio) == (1.0, pytest.approx(0.9))


def test_tables_compare_half_precision_with_other_packages():
    half = [row("array_losses, torch", 9.0), row(contenders.IN_FLOAT32, 10.0), row("torch", 18.0)]
    half = [dataclasses.replace(one, workload="a-float16") for one in half]
    (one,) = comparison.comparisons(half)
    assert (one.row, one.peer, one.ratio) == (half[0], "torch", pytest.approx(0.5))


def test_goals_of_memory():
    size = 100_000_000
    plain = memory.MemoryRow("a", "ce", "x", "numpy", True, False, size)
    assert goals.memory_goals(plain) == (24e6, size + 24e6)
    exact = dataclasses.replace(plain, loss="lovasz")
    assert goals.memory_goals(exact) == (1.2 * size, 2 * size)
    assert goals.memory_goals(dataclasses.replace(exact, binned=True)) == (24e6, size + 24e6)
    # Twice a few kilobytes would be less than what Python needs.
    assert goals.memory_goals(dataclasses.replace(exact, logits_bytes=1000))[0] == 24e6


@pytest.mark.skipif(not memory.measured_here(), reason="it is read from Linux' /proc")
def test_memory_of_a_fresh_process(monkeypatch):
    monkeypatch.setattr(memory, "_PRELOADED", ("numpy",))
    context = memory.forking()
    workload = workloads.Workload("wide", (2, 8, 512, 512))
    found = {one.name: one for one in memory.those_measured("ce", workload)}
    ours = memory.measure_memory(context, workload, "ce", found["array_losses, NumPy"])
    assert ours.problem is None
    # The gradient is as large as the logits, and there are no other arrays of that size.
    assert workload.logits_bytes <= ours.gradient < 2.5 * workload.logits_bytes
    assert ours.forward < workload.logits_bytes
    theirs = memory.measure_memory(context, workload, "ce", found["torch"])
    assert theirs.gradient > ours.gradient


def test_scaling_leaves_out_what_would_take_too_long():
    def at(contender, pixels, seconds):
        return scaling.ScalingRow("ce", contender, contender != "torch", False, pixels, seconds)

    everybody = scaling.still_in_time([], "ce")
    assert everybody == {"array_losses, NumPy", "array_losses, torch", "torch"}
    rows = [at("torch", 1 << 10, 0.1), at("array_losses, NumPy", 1 << 10, 0.1)]
    rows += [at("torch", 1 << 12, 2.0), at("array_losses, NumPy", 1 << 12, 0.4)]
    assert scaling.still_in_time(rows, "ce") == {"array_losses, NumPy"}
    assert scaling.sizes(1 << 14) == [1 << 10, 1 << 12, 1 << 14]
    assert scaling.sizes(1 << 40)[-1] == 1 << 26


def test_scaling_measures_those_named():
    names = {"array_losses, NumPy", "torch"}
    found = scaling.measure_scaling("ce", 1 << 10, names)
    assert {one.contender for one in found} == names
    assert all(one.pixels == 1 << 10 and one.seconds > 0 for one in found)


def test_results_survive_the_file_and_are_replaced_group_by_group(measured, tmp_path):
    path = tmp_path / "bench.json"
    measured.write(path)
    again = results.Results.read(path)
    assert again == measured
    count = len(again.times)
    new = [row("array_losses, NumPy", 1.0), row("torch", 2.0)]
    again.add_times(new)
    assert [one for one in again.times if one.group == new[0].group] == new
    assert len(again.times) == count - 5 + 2
    again.add_scaling([scaling.ScalingRow("ce", "torch", False, False, 1 << 10, 1.0)])
    assert len(again.scaling) == 1


def test_report_writes_tables_and_plots_from_the_file(measured, tmp_path, capsys):
    measured.write(tmp_path / "bench.json")
    assert main(["--report", "--output-dir", str(tmp_path)]) == 0
    assert "goals are met" in capsys.readouterr().out
    texts = {path.stem: path.read_text("utf-8") for path in tmp_path.glob("*.md")}
    assert texts.keys() == {"machine", "ratios", "time", "compiled", "memory"}
    assert "Missing: smp" in texts["machine"]
    assert "**array_losses, NumPy**" in texts["time"]
    assert "keras: ValueError: no" in texts["time"]
    assert "goal" not in "".join(texts.values())  # those are the maintainers': on the terminal
    assert "| Cross entropy: NumPy | **0.33** kornia | **0.33** kornia |" in texts["ratios"]
    assert "| Cross entropy: JAX | **0.78** optax |" in texts["ratios"]
    assert "optax" in texts["compiled"]
    for text in texts.values():
        for block in text.split("\n\n"):
            lines = [line for line in block.splitlines() if line.startswith("|")]
            assert len({line.count("|") for line in lines}) <= 1, block
    for name in ("time", "memory", "scaling"):
        picture = (tmp_path / f"{name}.png").read_bytes()
        assert picture.startswith(b"\x89PNG")
        assert len(picture) > 10_000


def test_tables_of_parts_that_were_not_measured_are_kept(measured, tmp_path):
    tables.write_tables(measured, tmp_path)
    before = {path.name: path.read_text("utf-8") for path in tmp_path.iterdir()}
    tables.write_tables(dataclasses.replace(measured, memory=[]), tmp_path)
    assert {path.name: path.read_text("utf-8") for path in tmp_path.iterdir()} == before


def test_nothing_measured_is_said_and_draws_nothing(tmp_path):
    tables.write_tables(results.Results(), tmp_path)
    figures.draw(results.Results(), tmp_path)
    assert "Not measured" in (tmp_path / "time.md").read_text("utf-8")
    assert not list(tmp_path.glob("*.png"))


def test_a_small_run_from_end_to_end(tmp_path, capfd):
    folder = tmp_path / "new"
    arguments = ["--workloads", "e", "--losses", "jaccard", "--parts", "time", "--threads", "1"]
    given = [*arguments, "--seconds", "0.01", "--output-dir", str(folder)]
    assert main(given) == 0
    out = capfd.readouterr().out
    assert "e: 2×4×64×64 · Jaccard · eager, 1 thread" in out
    content = json.loads((folder / "bench.json").read_text("utf-8"))
    assert {one["workload"] for one in content["times"]} == {"e"}
    assert content["floors"]["1"]["copy_bytes_per_second"] > 0
    ours = [one for one in content["times"] if one["ours"]]
    assert len(ours) == 2
    assert all(one["rounds"] >= 5 and one["problem"] is None for one in ours)
    assert "array_losses, NumPy" in (folder / "time.md").read_text("utf-8")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--parts", "speed"],
        ["--workloads", "z"],
        ["--threads", "0"],
        ["--losses", "hausdorff"],
        ["--seconds", "-1"],
        ["--seconds", "nan"],
        ["--seconds", "long"],
    ],
    ids=" ".join,
)
def test_mistakes_in_the_arguments_exit_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "error" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--threads=" + "9" * 400, "expected an integer from 1 to 1024"),
        ("--seconds=1e999", "expected a number of seconds"),
    ],
    ids=["--threads", "--seconds"],
)
def test_values_of_options(argument, message, capsys, monkeypatch):
    monkeypatch.setattr(bench, "_measure", None)  # whoever calls it fails
    with pytest.raises(SystemExit):
        main([argument])
    out, err = capsys.readouterr()
    assert not out
    line = err.splitlines()[-1]
    assert line.startswith("python -m tests.benchmarks: error: ")
    assert message in line
    assert len(line) < 250


@pytest.mark.parametrize("name", ["ARRAY_LOSSES_THREADS", "ARRAY_LOSSES_BLOCK_PIXELS"])
def test_environment_variables_are_looked_at_first(name, capsys, monkeypatch):
    monkeypatch.setattr(bench, "_measure", None)  # whoever calls it fails
    monkeypatch.setenv(name, "abc")
    assert main([]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err == (
        f"python -m tests.benchmarks: The environment variable `{name}` must be a positive "
        "integer, got 'abc'.\n"
    )


def options(*given):
    return bench._parser().parse_args(given)


def test_what_is_measured_by_default():
    """All that the report shows: half precision, channels last, one thread and all, every loss."""
    everything = options()
    timed = bench._timed(everything)
    cores = results.cores()
    assert set(timed) == {("eager", cores), ("eager", 1), ("compile", cores), ("jit", cores)}
    half = {"a-float16", "a-bfloat16"}
    for groups in timed.values():
        assert {one.workload.name for one in groups} == {*"abcde", "a-last"} | half
        assert {one.loss for one in groups} == set(tables.TITLES)
        assert len(groups) == 8 * 6
    remembered = {(one.name, loss) for one, loss in bench._remembered(everything)}
    names = {*"abcde", "a-last", "huge"} | half
    assert remembered == {(name, loss) for name in names for loss in tables.TITLES}
    assert bench._parts(everything) == ("time", "memory", "compiled", "scaling")


def test_quick_leaves_what_was_asked_for():
    assert {one.name for one in bench._workloads(options("--quick"))} == {"d", "e"}
    asked = options("--quick", "--workloads", "a", "--parts", "compiled", "--threads", "1")
    assert {one.name for one in bench._workloads(asked)} == {"a"}
    assert set(bench._timed(asked)) == {("compile", 1), ("jit", 1)}
    assert bench._remembered(asked) == []


def test_status_2_if_there_is_nothing_to_report(tmp_path, capsys):
    assert main(["--report", "--output-dir", str(tmp_path)]) == 2
    assert "bench.json" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["", "no JSON", "[]", '{"about": {}}', "\xff"])
@pytest.mark.parametrize("option", ["--report", "--add"])
def test_status_2_if_the_earlier_results_are_damaged(tmp_path, capsys, content, option):
    (tmp_path / "bench.json").write_bytes(content.encode("latin-1"))
    assert main([option, "--output-dir", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert "bench.json was not written by this command" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("name", ["file", "file/folder", "x" * 300])
def test_status_2_before_the_work_if_nothing_can_be_written(tmp_path, capsys, monkeypatch, name):
    monkeypatch.setattr(bench, "_measure", None)  # whoever calls it fails
    (tmp_path / "file").write_text("kept")
    assert main(["--output-dir", str(tmp_path / name)]) == 2
    err = capsys.readouterr().err
    assert "cannot be written: " in err
    assert err.count("\n") == 1


def test_status_2_and_the_extra_if_a_package_is_not_installed(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main([]) == 2
    assert 'pip install ".[bench]"' in capsys.readouterr().err
