"""Rules of the source that no linter knows: who may import whom, and how arrays are made."""

import ast
from pathlib import Path

import pytest

import array_losses

PACKAGE = Path(array_losses.__file__).parent
FRAMEWORKS = {"numpy", "torch", "jax", "cupy", "scipy", "dask"}
# Rooms that may name a framework, each with the files in it.
HOMES = ("frameworks", "cli", "testing")
CREATION = {"zeros", "ones", "full", "empty", "arange", "asarray", "linspace", "eye"}
TORCH_CREATION = {"as_tensor", "rand", "randint", "randn", "randperm", "scalar_tensor", "tensor"}
# They take the dtype of what they are given.
CONVERSION = {"as_tensor", "asarray", "tensor"}
# By these names namespaces are known. NumPy's is not among them: it has one device.
NAMESPACES = {"xp", "torch", "jnp", "cupy", "library"}
# What JAX is not told a device for goes wherever it is needed: its arrays need none.
UNBOUND = {("frameworks/jax.py", "jnp.asarray")}
# What each room may import of this package; imports point one way.
MAY_IMPORT = {
    "core": {"core"},
    "frameworks": {"core", "frameworks"},
    "losses": {"core", "frameworks", "losses"},
    "functional": {"core", "losses"},
    "score_inputs": {"core", "frameworks"},
    "scores": {"core", "frameworks", "losses", "score_inputs"},
    "distance_maps": {"core", "frameworks"},
    "presets": {"core", "frameworks", "losses", "presets"},
    "config": {"core", "losses", "presets"},
    "trainers": {"config", "frameworks", "losses"},
    "__main__": {"cli"},
    "__init__": {"config", "distance_maps", "functional", "losses", "scores", "trainers"},
}
FILES = {path.relative_to(PACKAGE).as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in FILES.items()}

each_file = pytest.mark.parametrize("name", FILES)


def room_of(name):
    return name.split("/", maxsplit=1)[0].removesuffix(".py")


def files_in(*rooms):
    return [name for name in FILES if room_of(name) in rooms]


def imports_of(name):
    """Full names of all modules that a file imports, anywhere in it."""
    package = ["array_losses", *name.split("/")[:-1]]
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *filter(None, [node.module])])
            # `from package import module` names the module second.
            yield from (f"{module}.{one.name}" for one in node.names)


def calls_in(name):
    return [node for node in ast.walk(TREES[name]) if isinstance(node, ast.Call)]


def places(name, nodes):
    return [f"{name}:{node.lineno}: {ast.unparse(node)}" for node in nodes]


@each_file
def test_starts_with_a_docstring(name):
    text = ast.get_docstring(TREES[name])
    assert text
    assert text.splitlines()[0].endswith((".", ";"))


@pytest.mark.parametrize("name", [name for name in FILES if name != "core/namespace.py"])
def test_one_file_knows_array_api_compat(name):
    assert not [one for one in imports_of(name) if one.startswith("array_api_")]


@pytest.mark.parametrize("name", [name for name in FILES if room_of(name) not in HOMES])
def test_frameworks_stay_in_their_room(name):
    assert not [one for one in imports_of(name) if one.split(".")[0] in FRAMEWORKS]


@pytest.mark.parametrize("name", files_in(*MAY_IMPORT))
def test_imports_point_one_way(name):
    mine = [one.split(".")[1] for one in imports_of(name) if one.startswith("array_losses.")]
    assert set(mine) <= MAY_IMPORT[room_of(name)]


QUESTIONS = {f"is_{name}_namespace" for name in ("numpy", "cupy", "torch", "jax", "array_api")}


@pytest.mark.parametrize("name", files_in("core", "losses", "scores", "functional"))
def test_only_the_frameworks_are_asked_which_one_it_is(name):
    """`core` asks an object of `frameworks` what it does best, and never which library it is."""
    asked = [node.id for node in ast.walk(TREES[name]) if isinstance(node, ast.Name)]
    assert name == "core/namespace.py" or not QUESTIONS & set(asked)


def test_every_room_is_known():
    assert {room_of(name) for name in FILES} == {*MAY_IMPORT, "cli", "testing"}


def creations(text_or_tree):
    """Calls that make an array, with the keywords that they lack: `device`, and maybe `dtype`."""
    for call in ast.walk(text_or_tree):
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)):
            continue
        made = call.func.attr
        namespace = ast.unparse(call.func.value).rpartition(".")[2]
        if namespace in NAMESPACES and made in CREATION | TORCH_CREATION:
            yield call, {"dtype", "device"} - {keyword.arg for keyword in call.keywords}


@each_file
def test_arrays_are_made_with_dtype_and_device(name):
    """Defaults differ between libraries, and PyTorch's are global state."""
    in_home = room_of(name) in HOMES
    bare = [
        call
        for call, missing in creations(TREES[name])
        if (name, ast.unparse(call.func)) not in UNBOUND
        and missing - ({"dtype"} if in_home and call.func.attr in CONVERSION else set())
    ]
    assert not places(name, bare)


@pytest.mark.parametrize(
    "call",
    [
        "xp.zeros((), dtype=xp.float32)",
        "self.xp.asarray(0.0, device=on)",
        "torch.scalar_tensor(x.item(), dtype=wide)",
        "jnp.arange(3, dtype=jnp.int32)",
        "self.library.tensor(x)",
    ],
)
def test_an_array_made_without_is_seen(call):
    assert [missing for _, missing in creations(ast.parse(call)) if missing]


# Where a block's own fresh array may be changed: JAX makes `x += y` a new array.
EAGER = {
    f"core/{name}.py"
    for name in (
        "bucket_sort",
        "device_probability",
        "engine",
        "histogram",
        "jaccard_growth",
        "label_confusion",
        "labels",
        "library",
        "low_precision",
        "probability",
        "target_probability",
    )
}
# What a compiler or automatic differentiation follows.
TRACED = [
    *files_in("losses"),
    *(
        f"core/{name}.py"
        for name in ("autodiff", "derivative", "protocol", "soft_terms", "target_terms", "whole")
    ),
]

# Python's own lists, dicts and numbers, by file.
NO_ARRAYS = {
    "core/plan.py": {"rest", "axis", "result"},
    "losses/base.py": {"flat"},
}


@pytest.mark.parametrize(
    "name",
    [
        one
        for one in files_in("core", "losses", "score_inputs", "scores", "functional")
        if one not in EAGER
    ],
)
def test_no_array_is_changed_in_place(name):
    """`x += y` changes NumPy and PyTorch arrays that are others', and no JAX array."""
    found = [
        node
        for node in ast.walk(TREES[name])
        if isinstance(node, ast.AugAssign)
        and ast.unparse(node.target) not in NO_ARRAYS.get(name, ())
    ]
    assert not places(name, found)


@pytest.mark.parametrize("name", TRACED)
def test_formulas_never_look_at_values(name):
    """Under a compiler or automatic differentiation arrays have none."""
    reads = [
        call
        for call in calls_in(name)
        if (isinstance(call.func, ast.Attribute) and call.func.attr in {"item", "tolist"})
        or (
            isinstance(call.func, ast.Name)
            and call.func.id in {"bool", "int"}
            and not all(isinstance(one, ast.Constant) for one in call.args)
        )
    ]
    assert not places(name, reads)
    decisions = [
        node.test
        for node in ast.walk(TREES[name])
        if isinstance(node, ast.If | ast.IfExp | ast.While | ast.Assert)
        and any(
            isinstance(part, ast.Call) and ast.unparse(part.func).startswith(("xp.", "self.xp."))
            for part in ast.walk(node.test)
        )
    ]
    assert not places(name, decisions)


@pytest.mark.parametrize("name", TRACED)
def test_formulas_use_no_function_that_breaks_somewhere(name):
    """`sign`, `moveaxis`, `unstack` under vmap; `sort` and `abs` have no agreed derivative."""
    avoided = {"sign", "moveaxis", "unstack", "sort", "abs", "nonzero", "unique_values"}
    found = [
        call
        for call in calls_in(name)
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in avoided
        and ast.unparse(call.func.value).rpartition(".")[2] == "xp"
    ]
    assert not places(name, found)


@each_file
def test_no_path_of_one_machine(name):
    text = FILES[name].read_text(encoding="utf-8")
    for folder in ("home", "root", "work", "tmp", "Users"):
        assert f"/{folder}/" not in text
    assert "C:" + "\\" not in text
