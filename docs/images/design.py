"""Draw design.png, the picture of docs/design.md: `python docs/images/design.py`."""

from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

__all__: list[str] = []

WIDTH, HEIGHT = 94, 116.5  # tenths of an inch
INK, FAINT = "#1b1f27", "#6b7280"
# The two ways to a gradient: ours, and the framework's.
OURS, THEIRS = "#0b4f8a", "#b4541a"
PAPER = {"grey": "#eef0f3", OURS: "#e4eef8", THEIRS: "#fbeadd", "white": "#ffffff"}
STYLE = {"font.family": "DejaVu Sans", "text.color": INK}
MONO = {"fontsize": 9, "family": "DejaVu Sans Mono"}


class Picture:
    """Boxes and arrows; a place is its distance from the lower left corner."""

    def __init__(self) -> None:
        self.figure: Any = Figure(figsize=(WIDTH / 10, HEIGHT / 10), dpi=170)
        self.axes: Any = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set(xlim=(0, WIDTH), ylim=(0, HEIGHT))
        self.axes.axis("off")

    def box(
        self,
        place: tuple[float, float],
        size: tuple[float, float],
        title: str,
        *lines: str,
        file: str = "",
        corner: str = "",
        colour: str = FAINT,
        paper: str = "white",
    ) -> None:
        """Draw a box with a title, the file it stands for (below or at the right), and text."""
        (x, y), (width, height) = place, size
        shape = "round,pad=0,rounding_size=1"
        patch = FancyBboxPatch(
            place, width, height, shape, facecolor=PAPER[paper], edgecolor=colour, linewidth=1.1
        )
        self.axes.add_patch(patch)
        step, middle = 2.15, x + width / 2
        rows = [(title, {"fontsize": 10.5, "fontweight": "bold"})] if title else []
        if file:
            rows += [(line, MONO | {"color": colour}) for line in file.split(" / ")]
        rows += [(line, {"fontsize": 9.3}) for line in lines]
        top = y + height / 2 + step * (len(rows) - 1) / 2
        at = (x + width - 1.5, top)
        self.axes.text(*at, corner, ha="right", va="center", **MONO, color=colour)
        for n, (text, style) in enumerate(rows):
            self.axes.text(middle, top - n * step, text, ha="center", va="center", **style)

    def frame(self, place: tuple[float, float], size: tuple[float, float], title: str) -> None:
        """Draw what holds other boxes, with its title at the upper left."""
        self.box(place, size, "", paper="grey", colour="#c9ced6")
        at = (place[0] + 1.5, place[1] + size[1] - 1.9)
        self.axes.text(*at, title, va="center", fontsize=9.3, color=FAINT)

    def arrow(
        self, start: tuple[float, float], end: tuple[float, float], *, colour: str = INK
    ) -> None:
        """Draw an arrow."""
        arrow = FancyArrowPatch(
            start, end, arrowstyle="-|>", mutation_scale=13, linewidth=1.6, color=colour, zorder=3
        )
        self.axes.add_patch(arrow)

    def note(self, place: tuple[float, float], text: str, *, colour: str) -> None:
        """Write a note on the right of an arrow."""
        self.axes.text(*place, text, va="center", fontsize=9.3, color=colour)


def draw() -> Any:
    """Return the figure."""
    picture = Picture()
    _entries(picture)
    _evaluations(picture)
    _block(picture)
    _formulas(picture)
    _ours(picture)
    _theirs(picture)
    return picture.figure


def _entries(picture: Picture) -> None:
    """How each framework enters."""
    picture.box((1, 110.5), (92, 5), "logits, target, pixel weights")
    columns = (
        (1, 17.5, "NumPy, CuPy", "eager.py", OURS, "value_and_grad(...)"),
        (20.5, 17.5, "PyTorch, eager", "torch_autograd.py", OURS, "loss.backward()"),
        (40, 33.5, "JAX", "jax_transforms.py", INK, "jit, grad, vmap, hessian, ..."),
        (75.5, 17.5, "PyTorch, traced", "torch_autograd.py", THEIRS, "compile, func, export"),
    )
    for x, width, title, file, colour, call in columns:
        picture.box((x, 98.5), (width, 8.5), title, call, file=file, colour=colour)
        picture.arrow((x + width / 2, 110.5), (x + width / 2, 107))


def _evaluations(picture: Picture) -> None:
    """Many blocks, or one."""
    ways = (
        (9.75, OURS, ""),
        (29.25, OURS, ""),
        (44, OURS, "labels and softmax"),
        (64, THEIRS, "all else"),
        (84.25, THEIRS, ""),
    )
    for x, colour, note in ways:
        picture.arrow((x, 98.5), (x, 94.5), colour=colour)
        picture.note((x + 1.2, 96.5), note, colour=colour)
    picture.box(
        (1, 83.5),
        (37, 11),
        "Many blocks",
        "on a CPU they fit the cache and use threads;",
        "arrays are written in place",
        file="core/engine.py",
        colour=OURS,
    )
    picture.box(
        (40, 83.5),
        (53, 11),
        "One block: the whole batch",
        "for compilers and automatic differentiation:",
        "no value is inspected, nothing written in place",
        file="core/whole.py",
        colour=INK,
    )
    for x, colour in ((36, OURS), (47, OURS), (77.5, THEIRS)):
        picture.arrow((x, 83.5), (x, 74), colour=colour)


def _block(picture: Picture) -> None:
    """What is made of a block."""
    picture.frame((1, 62), (92, 16.5), "A block of pixels as a loss sees it, core/pixels.py")
    picture.box(
        (3, 63.5),
        (27, 10.5),
        "Target",
        "which class is where,",
        "which pixels count",
        file="target.py, labels.py",
    )
    picture.box(
        (33.5, 63.5),
        (27, 10.5),
        "Probabilities",
        "p, 1 − p and log p from logits",
        file="probability.py / target_probability.py",
        colour=OURS,
        paper=OURS,
    )
    picture.box(
        (64, 63.5),
        (27, 10.5),
        "Probabilities",
        "the same, in forms that can",
        "be differentiated",
        file="autodiff.py",
        colour=THEIRS,
        paper=THEIRS,
    )


def _formulas(picture: Picture) -> None:
    """What both ways share: the sums and the value."""
    for y in (62, 51.5):
        picture.arrow((47, y), (47, y - 3.5), colour=OURS)
        picture.arrow((77.5, y), (77.5, y - 3.5), colour=THEIRS)
    picture.box(
        (1, 51.5),
        (92, 7),
        "sums_of",
        "sums over the pixels of a block; added up over blocks, and by all_reduce over devices",
        corner="losses/",
    )
    picture.box((1, 41), (92, 7), "value_of", "the loss, computed from the sums", corner="losses/")


def _ours(picture: Picture) -> None:
    """The gradient in closed form."""
    picture.box((1, 30.5), (59.5, 7), "grad_sums", "d loss / d sums", corner="losses/", colour=OURS)
    picture.box(
        (1, 18.5),
        (59.5, 8.5),
        "derivative",
        "d loss / d p for each block: numbers per class or per pixel;",
        "the losses of a sum add theirs up",
        corner="losses/, core/derivative.py",
        colour=OURS,
    )
    picture.box(
        (1, 8),
        (59.5, 7),
        "backward",
        "from d loss / d p to d loss / d logits, once for all losses",
        corner="core/target_probability.py",
        colour=OURS,
        paper=OURS,
    )
    for start, end in ((41, 37.5), (30.5, 27), (18.5, 15), (8, 5.5)):
        picture.arrow((31, start), (31, end), colour=OURS)
    picture.box((1, 1), (92, 4.5), "gradient")


def _theirs(picture: Picture) -> None:
    """The gradient by automatic differentiation."""
    picture.box(
        (64, 8),
        (29, 29.5),
        "Automatic differentiation",
        "PyTorch or JAX follows",
        "every operation above, and",
        "differentiates it",
        colour=THEIRS,
        paper=THEIRS,
    )
    for start, end in ((41, 37.5), (8, 5.5)):
        picture.arrow((77.5, start), (77.5, end), colour=THEIRS)


if __name__ == "__main__":
    with rc_context(STYLE):
        draw().savefig(
            Path(__file__).with_suffix(".png"), facecolor="white", metadata={"Software": None}
        )
