"""`array-losses compare`: what it reads, what it refuses, and a small run from end to end."""

import json
import os
import subprocess
import sys
from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest

import array_losses as al
from array_losses.cli import brain, compare, images, masks
from array_losses.cli.main import main
from array_losses.cli.terminal import displayable
from array_losses.testing.framework import named

# The framework sessions of nox have no `compare` extra; the session `agreement` has everything.
for package in ("scipy", "matplotlib", "rich", "nibabel", "nilearn", "PIL", "tifffile"):
    pytest.importorskip(package)
nibabel, tifffile, Image = map(import_module, ("nibabel", "tifffile", "PIL.Image"))
classifier = import_module("array_losses.cli.classifier")
features = import_module("array_losses.cli.features")
figures = import_module("array_losses.cli.figures")

HEIGHT, WIDTH = 48, 64
TWO = "--losses=ce,dice"


def blobs(shape):
    """Return an image with noise and its mask of three labels, the last one rare."""
    generator = np.random.default_rng(0)
    waves = sum(
        np.sin(np.linspace(0, cycles, length)).reshape(
            [-1 if a == axis else 1 for a in range(len(shape))]
        )
        for axis, (length, cycles) in enumerate(zip(shape, (9, 20, 30)[-len(shape) :], strict=True))
    )
    labels = np.digitize(waves, [0.0, 1.2]).astype(np.uint8)
    return 60 + 70 * labels + generator.normal(size=shape) * 20, labels


def save_png(path, array):
    Image.fromarray(array.clip(0, 255).astype(np.uint8)).save(path)


def save_nifti(path, array):
    # axes right, anterior, superior
    nibabel.save(nibabel.Nifti1Image(array.astype(np.float32), np.eye(4)), path)


SAVE = {
    ".png": save_png,
    ".tif": lambda path, array: tifffile.imwrite(path, array.astype(np.float32)),
    ".npy": np.save,
    ".nii": save_nifti,
    ".nii.gz": save_nifti,
}


@pytest.fixture
def files(tmp_path):
    """Write an image and a mask in some format; return their paths."""

    def write(image, mask, suffix=".npy"):
        paths = tmp_path / f"image{suffix}", tmp_path / f"mask{suffix}"
        for path, array in zip(paths, (image, mask), strict=True):
            SAVE[suffix](path, array)
        return paths

    return write


@pytest.fixture
def run(capsys, tmp_path):
    """Run the command; return exit status, stdout and stderr."""

    def command(*arguments):
        output = tmp_path / "out.png"
        status = main(["compare", *map(str, arguments), "--output", str(output)])
        return status, *capsys.readouterr()

    return command


@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy"])
def test_reads_a_picture(files, suffix):
    image, labels = blobs((HEIGHT, WIDTH))
    scene = images.read_scene(*files(image, labels, suffix))
    np.testing.assert_array_equal(scene.labels, labels[None])
    assert scene.image.shape == (1, 1, HEIGHT, WIDTH)
    assert np.corrcoef(scene.image.ravel(), image.ravel())[0, 1] > 0.999
    assert scene.class_names == ("label 0", "label 1", "label 2")
    assert 0.45 < scene.held_out.mean() < 0.55


@pytest.mark.parametrize("suffix", [".tif", ".npy"])
def test_reads_a_volume_and_holds_out_every_other_slice(files, suffix):
    image, labels = blobs((6, HEIGHT, WIDTH))
    scene = images.read_scene(*files(image, labels, suffix))
    np.testing.assert_array_equal(scene.labels, labels)
    assert scene.held_out.all((1, 2)).tolist() == [False, True] * 3
    assert not scene.held_out[::2].any()


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_reads_nifti_as_axial_slices_with_the_front_up(files, suffix):
    image, labels = blobs((20, 24, 8))
    scene = images.read_scene(*files(image, labels, suffix))
    assert scene.labels.shape == (8, 24, 20)
    assert scene.labels[3, 0, 5] == labels[5, 23, 3]
    # a file with another order of axes is the same volume
    turned = nibabel.Nifti1Image(labels[::-1].astype(np.float32), np.diag([-1, 1, 1, 1]))
    other = files(image, labels, suffix)
    nibabel.save(turned, other[1])
    np.testing.assert_array_equal(images.read_scene(*other).labels, scene.labels)


def test_takes_at_most_14_slices_of_a_volume_and_only_those_with_two_classes(files):
    image, labels = blobs((40, 16, 18))
    labels[:5] = 0
    labels[35:] = 0
    scene = images.read_scene(*files(image, labels))
    assert len(scene.labels) == 14
    assert scene.heights[0] == pytest.approx(5 / 39)
    assert scene.heights[-1] == pytest.approx(34 / 39)


def test_reads_colours_and_indexed_masks(tmp_path):
    image, labels = blobs((HEIGHT, WIDTH))
    save_png(tmp_path / "image.png", np.stack([image, image / 2, 255 - image], -1))
    indexed = Image.fromarray(labels)
    indexed.putpalette([9, 9, 9, 200, 0, 0, 0, 200, 0])
    indexed.save(tmp_path / "mask.png")
    scene = images.read_scene(tmp_path / "image.png", tmp_path / "mask.png")
    assert scene.image.shape[0] == 3
    np.testing.assert_array_equal(scene.labels[0], labels)


def test_numbers_any_labels_and_leaves_out_the_ignored_ones(files):
    image, labels = blobs((HEIGHT, WIDTH))
    values = np.asarray([-3, 7, 255])[labels]
    scene = images.read_scene(*files(image, values), ignore=["7"])
    assert scene.class_names == ("label -3", "label 255")
    np.testing.assert_array_equal(scene.labels == masks.IGNORED, values[None] == 7)
    np.testing.assert_array_equal(scene.labels == 1, values[None] == 255)


def test_reads_a_jpeg_as_viewers_turn_it(tmp_path):
    image, labels = blobs((HEIGHT, WIDTH))
    save_png(tmp_path / "mask.png", labels)
    turned = Image.fromarray(np.rot90(image).clip(0, 255).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown a quarter turn clockwise
    turned.save(tmp_path / "image.JPG", quality=95, exif=exif)
    scene = images.read_scene(tmp_path / "image.JPG", tmp_path / "mask.png")
    assert np.corrcoef(scene.image[0, 0].ravel(), image.ravel())[0, 1] > 0.98


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "CMYK", "P", "1", "I;16"])
def test_every_mode_of_a_picture_is_grey_or_colours(tmp_path, mode):
    path = tmp_path / ("image.jpg" if mode == "CMYK" else "image.png")
    image, labels = blobs((HEIGHT, WIDTH))
    grey = Image.fromarray(image.clip(0, 255).astype(np.uint8))
    (grey.convert("RGB") if mode in {"CMYK", "P"} else grey).convert(mode).save(path)
    save_png(tmp_path / "mask.png", labels)
    channels = 3 if mode in {"RGB", "RGBA", "CMYK", "P"} else 1
    assert images.read_scene(path, tmp_path / "mask.png").image.shape[0] == channels


COLOURS = np.asarray([[0, 0, 0], [255, 128, 0], [0, 128, 255]], dtype=np.uint8)
KEYS = ("#000000", "#ff8000", "#0080ff")


@pytest.fixture
def colour_files(tmp_path):
    """Write an image and a mask of three colours, the last one rare; return paths and labels."""
    image, labels = blobs((HEIGHT, WIDTH))
    save_png(tmp_path / "image.png", image)
    save_png(tmp_path / "mask.png", COLOURS[labels])
    return (tmp_path / "image.png", tmp_path / "mask.png"), labels


def test_colours_are_classes_in_the_order_of_their_values(colour_files):
    paths, labels = colour_files
    scene = images.read_scene(*paths)
    assert scene.keys == scene.class_names == ("#000000", "#0080ff", "#ff8000")
    np.testing.assert_array_equal(scene.labels[0], np.asarray([0, 2, 1])[labels])


@pytest.mark.parametrize("form", ["RGB", "RGBA", "indexed", "NPY"])
def test_classes_are_named_and_in_the_order_that_is_given(colour_files, form):
    (image, mask), labels = colour_files
    if form == "NPY":
        mask = mask.with_suffix(".npy")
        np.save(mask, COLOURS[labels].astype(int))
    elif form == "indexed":
        indexed = Image.fromarray(2 - labels)
        indexed.putpalette(COLOURS[::-1].ravel().tolist())
        indexed.save(mask)
    else:
        Image.fromarray(COLOURS[labels]).convert(form).save(mask)
    table = {**dict(zip(KEYS, ("ground", "", "c"), strict=True)), "#ffffff": "in other masks"}
    scene = images.read_scene(image, mask, classes=table)
    assert scene.keys == KEYS
    assert scene.class_names == ("ground", "#ff8000", "c")
    np.testing.assert_array_equal(scene.labels[0], labels)


@pytest.mark.parametrize(
    ("classes", "ignore"),
    [(KEYS[:2], KEYS[2:]), (KEYS[:2], ["others"]), (None, KEYS[2:]), (KEYS, KEYS[2:])],
)
def test_colours_are_left_out(colour_files, classes, ignore):
    paths, labels = colour_files
    table = None if classes is None else dict.fromkeys(classes, "")
    scene = images.read_scene(*paths, classes=table, ignore=ignore)
    assert scene.keys == KEYS[:2]
    np.testing.assert_array_equal(scene.labels[0], np.asarray([0, 1, masks.IGNORED])[labels])


def test_labels_take_a_table_as_well(files):
    image, labels = blobs((HEIGHT, WIDTH))
    scene = images.read_scene(*files(image, labels), classes={"2": "two", "0": "", "1": "one"})
    assert scene.class_names == ("two", "label 0", "one")
    np.testing.assert_array_equal(scene.labels[0], np.asarray([1, 2, 0])[labels])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--classes=#000000,#ff8000"], "not among --classes: #0080ff; leave them out with"),
        (["--classes=0,1"], "expected a colour such as #ff8000 in --classes and --ignore, got 0"),
        (["--ignore=255"], "expected a colour such as #ff8000 in --classes and --ignore, got 255"),
        (["--classes=#000000", "--ignore=others"], "expected at least two classes, got #000000"),
        (["--classes=#000000=#0080ff,#0080ff,#ff8000"], "two classes have the same name: #0080ff"),
    ],
)
def test_status_2_for_colours_that_do_not_fit(colour_files, run, options, message):
    status, out, err = run(*colour_files[0], *options)
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_colours_given_for_labels(files, run):
    image, labels = blobs((HEIGHT, WIDTH))
    status, _, err = run(*files(image, labels.astype(int) * 1000), "--ignore=#ffffff")
    assert status == 2
    assert "expected 8-bit colours, got values from 0 to 2000" in err


def test_colours_and_their_table_from_end_to_end(colour_files, run, tmp_path):
    """The picture has the mask's own colours; the table says which class they are."""
    table = "--classes=#000000=ground,#ff8000=a|[b],#0080ff=$c$"
    status, out, err = run(*colour_files[0], TWO, "--steps=2", table, "--json", tmp_path / "j")
    assert (status, err) == (0, "")
    for name, key in zip(("ground", "a|[b]", "$c$"), KEYS, strict=True):
        assert any(line.split()[:2] == [name, key] for line in out.splitlines())
    assert json.loads((tmp_path / "j").read_text("utf-8"))["classes"]["$c$"] == "#0080ff"
    with Image.open(tmp_path / "out.png") as picture:
        found = {colour for _, colour in picture.convert("RGB").getcolors(2**20)}
    assert {tuple(colour) for colour in COLOURS.tolist()} <= found
    _, out, _ = run(*colour_files[0], TWO, "--steps=1", table, "--markdown")
    assert "| a\\|[b] | #ff8000 | " in out


def test_255_beside_other_labels_is_spoken_of(files, run):
    image, labels = blobs((HEIGHT, WIDTH))
    paths = files(image, np.where(labels == 2, 255, labels))
    status, _, err = run(*paths, TWO, "--steps=1")
    assert status == 0
    assert "label 255 is treated as a class" in err
    assert "--ignore 255" in err
    assert run(*paths, TWO, "--steps=1", "--ignore=255")[2] == ""
    binary = files(image, np.where(labels > 0, 255, 0))
    assert run(*binary, TWO, "--steps=1")[2] == ""


def many_classes(classes):
    """Return an image and a mask in which every class is in many tiles."""
    rng = np.random.default_rng(0)
    labels = rng.permuted(np.resize(np.arange(classes), (48, 2 * classes)), axis=1)
    return labels + rng.normal(size=labels.shape), labels


def test_255_classes(files, run, tmp_path):
    paths = files(*many_classes(255))
    status, out, err = run(*paths, "--losses=ce", "--steps=1")
    assert (status, err) == (0, "")
    assert sum(line.startswith(" label ") for line in out.splitlines()) == 255
    assert (tmp_path / "out.png").stat().st_size > 10_000
    scene = images.read_scene(*paths)
    assert not (scene.labels == masks.IGNORED).any()
    assert len({*figures._class_colours(scene)}) == 255


def test_256_classes_are_too_many(files, run):
    status, _, err = run(*files(*many_classes(256)))
    assert status == 2
    assert "expected at most 255 different labels, got 256" in err
    status, _, err = run(
        *files(*many_classes(256)), "--classes=0,1", "--ignore=others", "--steps=1"
    )
    assert status == 0


def test_thins_out_what_is_too_large_and_says_so(files, monkeypatch):
    monkeypatch.setattr(images, "_MOST_PIXELS", 1000)
    image, labels = blobs((HEIGHT, WIDTH))
    scene = images.read_scene(*files(image, labels))
    np.testing.assert_array_equal(scene.labels[0], labels[::2, ::2])
    assert "1 in 2 pixels" in scene.split


def _replaced(array, value):
    array = array.astype(np.float64)
    array[0, 0] = value
    return array


BAD = {
    "shapes": (lambda i, m: (i, m[:-1]), "differ in shape"),
    "a flat mask of a volume": (lambda i, m: (np.stack([i] * 5), m), "differ in shape"),
    "fractions": (
        lambda i, m: (i, _replaced(m, 0.4)),
        "expected a mask of integer labels, got fractions",
    ),
    "a mask with NaN": (
        lambda i, m: (i, _replaced(m, np.nan)),
        "expected a mask of integer labels, got fractions",
    ),
    "an image with NaN": (lambda i, m: (_replaced(i, np.nan), m), "NaN or infinity"),
    "the image as mask": (lambda i, _: (i, i.astype(int)), "is this really the mask?"),
    "one class": (lambda i, m: (i, np.zeros_like(m)), "expected at least two classes, got 0"),
    "text": (lambda i, m: (i, m.astype(str)), "expected a mask of integer labels or colours, got"),
    "complex": (lambda i, m: (i + 0j, m), "expected an image of real numbers, got complex128"),
    "fractions as colours": (
        lambda i, m: (i, np.stack([m, m, m / 2], -1)),
        "8-bit colours, got shape",
    ),
    "long colours": (
        lambda i, m: (i, np.stack([m, m, m.astype(int) * 500], -1)),
        "got values from 0 to 1000",
    ),
    "one axis": (lambda i, m: (i[0], m[0]), "two or three axes"),
    "a class in one tile": (lambda i, m: (i, _replaced(m, 9)), "leave it out with --ignore 9"),
}


@pytest.mark.parametrize("case", BAD)
def test_status_2_and_one_line_for_files_that_cannot_be_used(files, run, case):
    change, expected = BAD[case]
    status, out, err = run(*files(*change(*blobs((HEIGHT, WIDTH)))))
    assert (status, out) == (2, "")
    assert err.startswith("array-losses compare: ")
    assert expected in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("image.bmp", b"BM", "unknown file format"),
        ("image.png", None, "no such file"),
        (f"{'x' * 300}.png", None, "cannot be read: File name too long"),
        ("image.jpg", b"\xff\xd8\xff", "save the mask as PNG"),
        ("image.png", b"no picture", "cannot be read"),
        ("image.npy", b"no array", "cannot be read"),
        ("image.nii.gz", b"no volume", "cannot be read"),
    ],
)
def test_status_2_for_files_that_cannot_be_read(tmp_path, run, name, content, expected):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    status, out, err = run(tmp_path / name, tmp_path / name)
    assert (status, out) == (2, "")
    assert expected in err
    assert err.count("\n") == 1


def test_status_2_for_a_folder(tmp_path, run):
    (tmp_path / "image.png").mkdir()
    assert "expected a file, got a folder" in run(tmp_path / "image.png", tmp_path / "image.png")[2]


@pytest.mark.parametrize("option", ["output", "json"])
def test_inputs_are_not_written_over(files, tmp_path, capsys, option):
    image, mask = files(*blobs((HEIGHT, WIDTH)), ".png")
    before = mask.read_bytes()
    others = [] if option == "output" else ["--output", str(tmp_path / "out.png")]
    assert main(["compare", str(image), str(mask), f"--{option}={mask}", *others]) == 2
    assert f"--{option} would overwrite MASK" in capsys.readouterr().err
    assert mask.read_bytes() == before


NAMES = ["$", "a$b$c_{$x_{.png", "{}", "[red]", "%s", "漢字", "x" * 240, "line\nbreak"]
if os.name == "posix" and sys.platform != "darwin":
    NAMES.append(os.fsdecode(b"stray\xff"))


@pytest.mark.parametrize("name", NAMES, ids=lambda name: repr(name)[:12])
def test_any_name_of_a_file(files, run, tmp_path, name):
    """In the picture, the table, the JSON file and on stdout."""
    image, mask = files(*blobs((HEIGHT, WIDTH)), ".png")
    image = image.rename(tmp_path / f"{name}.png")
    status, out, err = run(image, mask, "--losses=ce", "--steps=1", "--json", tmp_path / "json")
    assert (status, err) == (0, "")
    title = json.loads((tmp_path / "json").read_text("utf-8"))["data"]
    assert title == displayable(f"{name}.png")
    assert title in out.replace("\n", "")


def test_the_table_on_a_terminal_that_is_ascii(files, tmp_path):
    paths = map(str, files(*blobs((HEIGHT, WIDTH)), ".png"))
    output = str(tmp_path / "out.png")
    command = ["-m", "array_losses", "compare", *paths, "--losses=lovasz", "--steps=1"]
    done = subprocess.run(
        [sys.executable, *command, "--output", output],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"Lovasz-Softmax" in done.stdout
    assert b"8 x 8 tiles" in done.stdout


def test_status_2_for_an_image_without_a_mask(run):
    status, _, err = run("image.png")
    assert status == 2
    assert "expected both IMAGE and MASK, or neither" in err


@pytest.mark.parametrize("option", ["--ignore=255", "--classes=0,1"])
def test_status_2_for_classes_without_a_mask(run, option):
    status, out, err = run(option)
    assert (status, out) == (2, "")
    assert "need a MASK" in err


def test_status_2_and_the_extra_for_a_missing_package(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "nilearn", None)
    status, _, err = run()
    assert status == 2
    assert 'pip install ".[compare]"' in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "option", ["--losses=ce,dcie", "--losses=0*ce", "--steps=0", "--seed=-1", "--ignore=a"]
)
def test_mistakes_in_options_are_told(run, capsys, option):
    with pytest.raises(SystemExit) as stop:
        run(option)
    assert stop.value.code == 2
    assert option.split("=")[0] in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "name", "loss"),
    [
        ("ce", "Cross entropy", al.CrossEntropyLoss()),
        ("tversky", "Tversky .3/.7", al.TverskyLoss(fp_weight=0.3, fn_weight=0.7)),
        ("ce+0.5*hinge", "CE + 0.5 hinge", al.CrossEntropyLoss() + 0.5 * al.LovaszHingeLoss()),
        ("2*focal", "2 Focal", 2 * al.FocalLoss()),
    ],
)
def test_expressions_mean_losses(text, name, loss):
    assert compare._loss(text) == (name, loss)


def test_table_json_and_picture_of_a_small_run(files, run, tmp_path):
    paths = files(*blobs((HEIGHT, WIDTH)))
    status, out, err = run(*paths, TWO, "--steps=30", "--json", tmp_path / "out.json")
    assert (status, err) == (0, "")
    with Image.open(tmp_path / "out.png") as picture:
        assert picture.format == "PNG"
        assert picture.width == 1760
        assert len(picture.convert("RGB").getcolors(2**20)) > 50
    found = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert [loss["name"] for loss in found["losses"]] == ["Cross entropy", "Dice"]
    for loss in found["losses"]:
        assert loss["accuracy"] > 0.9
        assert loss["curve"]["mean_iou"][-1] == pytest.approx(loss["mean_iou"])
        assert loss["mean_iou"] > loss["curve"]["mean_iou"][0]
        row = next(line for line in out.splitlines() if line.startswith(f" {loss['name']} "))
        assert f"{100 * loss['mean_iou']:.1f}" in row
        assert f"{loss['loss']:.4f}" in row
    assert "Highest mean IoU" in out
    assert str(tmp_path / "out.png") in out


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("out.jpg", b"\xff\xd8\xff"),
        ("out.JPEG", b"\xff\xd8\xff"),
        ("out.PNG", b"\x89PNG"),
        ("out.pdf", b"%PDF"),
        ("out.svg", b"<?xml"),
    ],
)
def test_the_picture_is_what_its_name_says(files, tmp_path, name, start):
    paths = map(str, files(*blobs((HEIGHT, WIDTH))))
    output = tmp_path / name
    assert main(["compare", *paths, "--losses=dice", "--steps=1", f"--output={output}"]) == 0
    assert output.read_bytes().startswith(start)


@pytest.mark.parametrize("name", ["out.gif", "out", ".png", "out.png.txt"])
def test_a_picture_of_another_kind(tmp_path, capsys, name):
    with pytest.raises(SystemExit) as error:
        main(["compare", f"--output={tmp_path / name}"])
    assert error.value.code == 2
    assert f"ends in .png, .jpg, .jpeg, .pdf, .svg, got '{tmp_path / name}'" in (
        " ".join(capsys.readouterr().err.split())
    )


def test_markdown_is_a_table_with_the_best_in_bold(files, run):
    status, out, _ = run(*files(*blobs((HEIGHT, WIDTH))), TWO, "--steps=3", "--markdown")
    assert status == 0
    table = [line for line in out.splitlines() if line.startswith("|")]
    assert len(table) == 4
    assert len({line.count("|") for line in table}) == 1
    assert "**" in table[2] + table[3]


@pytest.mark.parametrize("classes", [2, 15])
def test_no_line_of_the_table_is_cut(files, run, classes):
    image, _ = blobs((HEIGHT, WIDTH))
    labels = np.arange(image.size).reshape(image.shape) % classes
    status, out, _ = run(*files(image, labels), TWO, "--steps=1")
    assert status == 0
    assert "…" not in out
    assert out.count(" Dice ") >= 1
    for index in range(classes):
        assert out.count(f"label {index}") >= 2
    assert max(map(len, out.splitlines())) <= 120


def test_a_volume_in_nifti_from_end_to_end(files, run, tmp_path):
    status, out, _ = run(*files(*blobs((24, 26, 6)), ".nii.gz"), TWO, "--steps=2")
    assert status == 0
    assert "every other one of 6 slices" in out
    assert (tmp_path / "out.png").stat().st_size > 10_000


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_frameworks_come_to_the_same_model(files, framework):
    pytest.importorskip(framework)
    scene = images.read_scene(*files(*blobs((HEIGHT, WIDTH))))
    loss = al.CrossEntropyLoss() + al.DiceLoss()
    runs = [
        classifier.Classifier(scene, named(name), "cpu", seed=0).train("sum", loss, 5, lambda: None)
        for name in ("numpy", framework)
    ]
    assert runs[1].loss == pytest.approx(runs[0].loss, rel=1e-3)
    assert runs[1].iou == pytest.approx(runs[0].iou, abs=0.01)


def test_times_are_those_of_an_undisturbed_call(files, monkeypatch):
    """Another process slows most calls down, and the first ones are of another kind."""
    times = iter([0.0, 1e-4, *(9.0, 9.002, 9.0, 9.001, 9.0, 9.5, 9.0, 9.001, 9.0, 9.3)])
    monkeypatch.setattr(classifier, "time", SimpleNamespace(perf_counter=lambda: next(times)))
    scene = images.read_scene(*files(*blobs((HEIGHT, WIDTH))))
    model = classifier.Classifier(scene, named("numpy"), "cpu", seed=0)
    run = model.train("CE", al.CrossEntropyLoss(), 6, lambda: None)
    assert run.milliseconds == pytest.approx(1.0)


def test_the_command_multiplies_matrices_in_one_thread():
    """OpenBLAS' threads wait by spinning."""
    code = (
        "import os\n"
        "from array_losses.cli import compare\n"
        "compare._use_one_blas_thread()\n"
        "print(os.environ['OPENBLAS_NUM_THREADS'])\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != "OPENBLAS_NUM_THREADS"}
    for given, expected in (({}, "1"), ({"OPENBLAS_NUM_THREADS": "3"}, "3")):
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env=environment | given,
        )
        assert done.stdout.strip() == expected


def test_scores_are_those_of_the_predicted_labels(files):
    scene = images.read_scene(*files(*blobs((HEIGHT, WIDTH))))
    run = classifier.Classifier(scene, named("numpy"), "cpu", seed=0).train(
        "Dice", al.DiceLoss(), 5, lambda: None
    )
    held_out = scene.held_out[0]
    predicted, truth = run.picture[held_out][None], scene.labels[0][held_out][None].astype(np.int64)
    options = {"num_classes": 3, "reduction": "none"}
    assert run.iou == pytest.approx(al.jaccard_index(predicted, truth, **options).tolist())
    assert run.dice == pytest.approx(al.dice_coefficient(predicted, truth, **options).tolist())
    assert run.accuracy == pytest.approx((predicted == truth).mean())


def test_features_are_white_over_the_training_pixels(files):
    scene = images.read_scene(*files(*blobs((HEIGHT, WIDTH))))
    found = features.describe(scene)
    assert np.all(found[-1] == 1)
    training = found[:-1, ~scene.held_out].astype(np.float64)
    np.testing.assert_allclose(training.mean(1), 0, atol=1e-3)
    np.testing.assert_allclose(np.cov(training), np.eye(len(training)), atol=1e-2)


def test_ignored_pixels_neither_teach_nor_count(files):
    image, labels = blobs((HEIGHT, WIDTH))
    ignored = np.broadcast_to(np.arange(WIDTH) % 5 == 0, labels.shape)
    scene = images.read_scene(*files(image, np.where(ignored, 9, labels)), ignore=["9"])
    model = classifier.Classifier(scene, named("numpy"), "cpu", seed=0)
    run = model.train("CE", al.CrossEntropyLoss(), 2, lambda: None)
    assert not np.isin(masks.IGNORED, model._batches[0][1])
    assert model._truth.size == (scene.held_out[0] & ~ignored).sum()
    assert np.isfinite(run.loss)


def test_the_brain_is_the_same_each_time_and_has_all_tissues_on_both_sides():
    first, second, other = brain.brain_scene(0), brain.brain_scene(0), brain.brain_scene(1)
    np.testing.assert_array_equal(first.image, second.image)
    assert not np.array_equal(first.image, other.image)
    assert first.class_names == ("outside", "CSF", "grey", "white")
    assert first.rarest == 1
    for held_out in (False, True):
        sizes = first.class_sizes(held_out=held_out)
        shares = sizes / sizes.sum()
        np.testing.assert_allclose(shares, [0.70, 0.03, 0.165, 0.10], atol=0.02)
    medians = [np.median(first.image[0][first.labels == index]) for index in range(4)]
    assert medians == sorted(medians)


def test_losses_differ_on_the_brain_as_their_papers_say():
    """Overlap losses serve the rare class better than cross entropy does."""
    scene = brain.brain_scene(0)
    model = classifier.Classifier(scene, named("numpy"), "cpu", seed=0)
    csf = {
        name: model.train(name, loss, 120, lambda: None).iou[scene.rarest]
        for name, loss in {
            "ce": al.CrossEntropyLoss(),
            "dice": al.DiceLoss(),
            "lovasz": al.LovaszSoftmaxLoss(),
        }.items()
    }
    assert csf["dice"] > csf["ce"] + 0.02
    assert csf["lovasz"] > csf["ce"] + 0.02


def test_help_needs_nothing_that_an_extra_brings():
    code = (
        "import sys\n"
        "for name in ('numpy', 'scipy', 'matplotlib', 'rich', 'nilearn'):\n"
        "    sys.modules[name] = None\n"
        "from array_losses.cli.main import main\n"
        "main(['compare', '--help'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "IMAGE" in done.stdout
