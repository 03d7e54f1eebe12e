"""Imports run one way: app → decisions → client, without a circle, not even one of types."""

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAYER = ROOT / "layers" / "altcraft" / "src"
PLACES = {
    "activate": ROOT / "functions",
    "export_all": ROOT / "functions",
    "altcraft": LAYER,
    "lambda_support": LAYER,
    "local": ROOT,
    "ops": ROOT,
}

# package → our packages that it may import in addition to itself
MAY_IMPORT = {
    "altcraft": set[str](),
    "lambda_support": {"altcraft"},
    "activate": {"altcraft", "lambda_support"},
    "export_all": {"altcraft", "lambda_support"},
    "local": PLACES.keys(),
    "ops": PLACES.keys() - {"local"},
}

Graph = Mapping[str, set[str]]


def modules() -> dict[str, str]:
    """The source of every module, by its dotted name; a package is named as its `__init__` is imported."""
    return {
        ".".join(path.relative_to(place).with_suffix("").parts).removesuffix(".__init__"): path.read_text("utf-8")
        for package, place in PLACES.items()
        for path in sorted((place / package).rglob("*.py"))
    }


def imported(source: str) -> Iterator[str]:
    """The dotted names that a module imports: at its top, within functions, and for types only."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports here are absolute"
            assert node.module
            # `from package import module` and `from module import name` look the same.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def graph(sources: Mapping[str, str]) -> Graph:
    """Each module with our modules that it imports. A package's import of its own modules does not count."""

    def ours(name: str) -> str | None:
        return next((known for known in (name, name.rpartition(".")[0]) if known in sources), None)

    return {
        module: {target for name in imported(source) if (target := ours(name)) and target != module}
        for module, source in sources.items()
    }


def circle(found: Graph) -> list[str]:
    """The modules of one circle, in order; empty if there is no circle."""
    try:
        TopologicalSorter(found).prepare()
    except CycleError as error:
        modules: list[str] = error.args[1]
        return modules
    return []


GRAPH = graph(modules())


def test_given_our_packages_then_no_imports_are_circular() -> None:
    assert circle(GRAPH) == []


@pytest.mark.parametrize("package", PLACES)
def test_given_a_package_then_it_imports_only_packages_below_it(package: str) -> None:
    imports = {
        (module, name.partition(".")[0])
        for module, source in modules().items()
        if module.partition(".")[0] == package
        for name in imported(source)
        if name.partition(".")[0] in {*PLACES, "tests"}
    }

    assert imports, "nothing was read"
    assert {(module, target) for module, target in imports if target not in MAY_IMPORT[package] | {package}} == set()


def test_given_the_functions_then_their_handlers_are_imported_by_none_of_their_modules() -> None:
    apps = {"activate.app", "export_all.app"}
    assert {module for module, targets in GRAPH.items() if targets & apps} == set()


@pytest.mark.parametrize(
    "importing",
    [
        "from house.second import X",
        "from house import second",
        "import house.second",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from house.second import X",
        "def late():\n    from house.second import X",
    ],
)
def test_given_a_circle_of_any_kind_then_it_is_found(importing: str) -> None:
    sources = {"house": "", "house.first": importing, "house.second": "import house.third", "house.third": ""}
    assert circle(graph(sources)) == []

    closed = sources | {"house.third": "from house.first import late"}
    assert set(circle(graph(closed))) == {"house.first", "house.second", "house.third"}
