"""The command as a whole: help, mistakes that cost no work, terminals, progress."""

import io
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import array_losses as al
from array_losses.cli import compare, crosscheck, files, terminal
from array_losses.cli.main import main

pytest.importorskip("rich")
from array_losses.cli import progress

LONG = "x" * 300
DIGITS = "9" * 400
QUICK = ["crosscheck", "--frameworks=numpy", "--losses=MCCLoss", "--dtypes=float64"]
UNWRITABLE = {
    "a folder": ("folder", "is a folder, expected a file"),
    "no folder": ("nowhere/file", "does not exist"),
    "a file as folder": ("file/file", "does not exist"),
    "a long name": (LONG, "cannot be written: File name too long"),
}


@pytest.fixture
def refused(capsys, monkeypatch):
    """Run the command, expect status 2 and no work; return the last line of stderr."""
    for module, work in ((compare, "_compare"), (crosscheck, "_check")):
        monkeypatch.setattr(module, work, None)  # whoever calls it fails

    def run(*arguments):
        try:
            status = main([*map(str, arguments)])
        except SystemExit as stop:
            status = stop.code
        out, err = capsys.readouterr()
        assert (status, out) == (2, "")
        return err.splitlines()[-1]

    return run


def module_of(*arguments):
    return subprocess.run(
        [sys.executable, "-m", *arguments], check=False, capture_output=True, text=True, timeout=60
    )


# --- help -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", ["array_losses", "array_losses.cli"])
def test_the_package_is_the_command(module):
    done = module_of(module, "--version")
    assert done.stdout.strip() == f"array_losses {al.__version__}"


def test_help_that_is_asked_for_is_success():
    done = module_of("array_losses", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "compare" in done.stdout
    assert "crosscheck" in done.stdout


def test_a_bare_command_prints_the_help_and_is_no_success():
    done = module_of("array_losses")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == module_of("array_losses", "--help").stdout


# --- mistakes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", UNWRITABLE)
@pytest.mark.parametrize(
    ("option", "suffix"),
    [("compare --output", ".png"), ("compare --json", ".json"), ("crosscheck --json", "")],
)
def test_files_are_tried_before_the_work(refused, tmp_path, case, option, suffix):
    name, message = UNWRITABLE[case]
    (tmp_path / f"folder{suffix}").mkdir()
    (tmp_path / "file").write_text("kept")
    subcommand, option = option.split()
    line = refused(subcommand, option, tmp_path / f"{name}{suffix}")
    assert line.startswith(f"array-losses {subcommand}: error: argument {option}: ")
    assert message in line
    assert {path.name for path in tmp_path.iterdir()} == {f"folder{suffix}", "file"}


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc, where nobody may write")
@pytest.mark.parametrize("option", ["compare --output", "crosscheck --json"])
def test_a_folder_in_which_nobody_may_write(refused, option):
    assert "cannot be written" in refused(*option.split(), "/proc/new.png")


def test_trying_changes_nothing(tmp_path):
    old, new, link = tmp_path / "old", tmp_path / "new", tmp_path / "link"
    old.write_text("kept")
    os.utime(old, (1, 1))
    link.symlink_to(new)
    for path in (old, new, link):
        assert files.writable(str(path)) == path
    assert (old.read_text(), old.stat().st_mtime) == ("kept", 1)
    assert link.is_symlink()
    assert not new.exists()


def test_a_pipe_is_not_opened_to_try(tmp_path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("no named pipes")
    os.mkfifo(tmp_path / "pipe")  # to open it would wait for a reader
    assert files.writable(str(tmp_path / "pipe")) == tmp_path / "pipe"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compare", f"--losses={DIGITS}*ce"], "a weight must be from 1e-06 to 1e+06, got '9999"),
        (["compare", "--losses=0*ce"], "a weight must be from 1e-06 to 1e+06, got '0*ce'"),
        (["compare", f"--losses={LONG}"], "expected ce, focal"),
        (["compare", f"--steps={DIGITS}"], "expected an integer from 1 to 1000000, got '9999"),
        (["compare", f"--seed={DIGITS}"], "expected an integer from 0 to"),
        (["compare", f"--ignore={DIGITS}"], "expected a label such as 7, or a colour"),
        (["compare", "--ignore=#12345"], "expected a label such as 7, or a colour"),
        (["compare", "--classes=0,0=a"], "may occur only once, got '0=a' again"),
        (["compare", "--classes=0=a,1=a"], "may occur only once, got '1=a' again"),
        (["compare", "--classes=0="], "a name must have 1 to 24 characters, got '0='"),
        (["compare", f"--classes=0={LONG}"], "a name must have 1 to 24 characters"),
        (["compare", "--classes=red=a"], "expected a label such as 7, or a colour"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_values_of_options(refused, arguments, message):
    line = refused(*arguments)
    assert message in line
    assert len(line) < 250


@pytest.mark.parametrize("subcommand", ["compare", "crosscheck"])
@pytest.mark.parametrize("name", ["ARRAY_LOSSES_THREADS", "ARRAY_LOSSES_BLOCK_PIXELS"])
def test_environment_variables_are_looked_at_first(refused, monkeypatch, subcommand, name):
    monkeypatch.setenv(name, "abc")
    assert refused(subcommand) == (
        f"array-losses {subcommand}: The environment variable `{name}` must be a positive integer, "
        "got 'abc'."
    )


def test_a_file_that_cannot_be_written_in_the_end(capsys, tmp_path, monkeypatch):
    """The table is printed all the same."""

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    path = tmp_path / "rows.json"
    assert main([*QUICK, f"--json={path}"]) == 2
    out, err = capsys.readouterr()
    assert "checks agree" in out
    assert err == f"array-losses crosscheck: {path} cannot be written: No space left on device\n"


@pytest.mark.skipif(os.name == "nt", reason="no SIGPIPE there")
def test_who_has_read_enough_gets_no_traceback():
    code = f"import sys; from array_losses.cli.main import main; sys.exit(main({QUICK!r}))"
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    child.stdout.close()
    with child.stderr:
        assert child.stderr.read() == b""
    child.wait(timeout=60)


# --- terminals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "text", "expected"),
    [
        ("ascii", "Lovász 8 × 8 … – ", b"Lovasz 8 x 8 ... - "),
        ("ascii", "─\udcff漢", rb"\u2500\udcff\u6f22"),
        ("latin-1", "Lovász 8 × 8 …", "Lovász 8 × 8 ...".encode("latin-1")),
        ("utf-8", "Lovász \udcff", "Lovász \\udcff".encode()),
    ],
)
def test_every_text_can_be_printed(monkeypatch, encoding, text, expected):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict")
    monkeypatch.setattr(sys, "stdout", stream)
    terminal.print_anywhere()
    print(text, end="", flush=True)
    assert stream.buffer.getvalue() == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a b.png", "a b.png"), ("ü漢.png", "ü漢.png"), ("a\nb\x1b[1m", r"a\nb\x1b[1m")],
)
def test_displayable_names(name, expected):
    assert terminal.displayable(name) == expected


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_bytes_that_are_no_text_are_displayed_as_such():
    assert terminal.displayable(os.fsdecode(b"a\xff.png")) == r"a\xff.png"


# --- progress -------------------------------------------------------------------------------------


def test_progress_without_a_terminal_is_a_line_now_and_then(capsys, monkeypatch):
    monkeypatch.setattr(progress, "INTERVAL", 0.05)
    with progress.progress("crosscheck", "option sets", 7) as show:
        show("DiceLoss", 0)
        show("DiceLoss", 2)
        time.sleep(0.2)  # a step that takes longer than the interval
    out, err = capsys.readouterr()
    assert not out
    assert len(err.splitlines()) >= 2
    assert set(err.splitlines()) == {"array-losses crosscheck: 2 of 7 option sets, 0 s, DiceLoss"}


def test_crosscheck_shows_progress(capsys, monkeypatch):
    monkeypatch.setattr(progress, "INTERVAL", 1e-3)
    assert main(QUICK) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines
    assert all(line.startswith("array-losses crosscheck: ") for line in lines)
    assert all("option sets" in line for line in lines)
