"""The output of `sam build`: the makefiles of the layer and of the functions, run as SAM runs them."""

import importlib.util
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
LAYER_LIMIT = 20_000_000
MACHINE = {"arm64": 183, "x86_64": 62}
"""The processor in an ELF file's header, `e_machine`."""


def _make(folder: str, target: str, artifacts: Path, **variables: str) -> str:
    artifacts.mkdir()
    made = subprocess.run(
        ["make", "--makefile", str(ROOT / folder / "Makefile"), target],
        cwd=artifacts,  # SAM runs it in a copy elsewhere
        env={**os.environ, "ARTIFACTS_DIR": str(artifacts), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    return made.stderr


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module", params=["arm64", "x86_64"])
def layer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The layer for one architecture."""
    artifacts = tmp_path_factory.mktemp(request.param) / "layer"
    _make(f"layers/altcraft/{request.param}", "build-AltcraftLayer", artifacts)
    return request.param, artifacts


def test_given_an_architecture_then_every_extension_is_for_it_and_for_lambdas_python(
    layer: tuple[str, Path],
) -> None:
    architecture, artifacts = layer
    extensions = {path: path.read_bytes()[18:20] for path in artifacts.rglob("*.so")}

    assert {path.parent.name for path in extensions} >= {"msgspec", "isal", "re2"}
    for path, machine in extensions.items():
        assert int.from_bytes(machine, "little") == MACHINE[architecture], path
        assert ".cpython-313-" in path.name or ".abi3." in path.name


def test_given_the_layer_then_it_is_small_and_holds_only_runtime_files(layer: tuple[str, Path]) -> None:
    files = _files(layer[1])
    packages = {name.split("/")[1] for name in files}

    assert sum(map(len, files.values())) < LAYER_LIMIT
    assert packages >= {"altcraft", "lambda_support", "aws_lambda_powertools", "requests", "certifi"}
    assert not packages & {"boto3", "botocore", "aws_xray_sdk", "pydantic", "charset_normalizer", "bin"}
    assert not [name for name in files if "/tests/" in name or name.endswith(("RECORD", ".pyi", ".c"))]


def test_given_the_layer_then_every_licence_goes_with_it(layer: tuple[str, Path]) -> None:
    for metadata in layer[1].rglob("*.dist-info"):
        assert any("licen" in path.name.lower() for path in metadata.rglob("*") if path.is_file()), metadata.name


def test_given_the_same_sources_then_the_layer_is_the_same_to_the_byte(layer: tuple[str, Path], tmp_path: Path) -> None:
    architecture, artifacts = layer
    again = tmp_path / "again"

    _make(f"layers/altcraft/{architecture}", "build-AltcraftLayer", again)

    assert _files(again) == _files(artifacts)


FUNCTIONS = pytest.mark.parametrize(
    ("target", "package"), [("ActivateFunction", "activate"), ("ExportAllFunction", "export_all")]
)


@FUNCTIONS
def test_given_a_function_then_its_package_and_nothing_else_is_shipped(
    target: str, package: str, tmp_path: Path
) -> None:
    _make("functions", f"build-{target}", tmp_path / "built")
    sources = {name: data for name, data in _files(ROOT / "functions" / package).items() if "__pycache__" not in name}

    shipped = {
        name.removeprefix(f"{package}/"): data
        for name, data in _files(tmp_path / "built").items()
        if "__pycache__" not in name
    }

    assert shipped == sources


def test_given_a_deployment_then_its_stamp_changes_the_code(tmp_path: Path) -> None:
    for release in ("first", "second"):
        _make("functions", "build-ActivateFunction", tmp_path / release, RELEASE=release)

    assert (tmp_path / "first/release").read_text() == "first\n"
    assert _files(tmp_path / "first") != _files(tmp_path / "second")


def _bytecode(files: Mapping[str, bytes]) -> set[str]:
    return {name for name in files if name.endswith(".cpython-313.pyc")}


def test_given_no_python_of_lambdas_version_then_it_is_shipped_uncompiled_with_a_message(tmp_path: Path) -> None:
    said = _make("functions", "build-ActivateFunction", tmp_path / "built", LAMBDA_PYTHON="")

    assert "nothing is compiled" in said
    assert not _bytecode(_files(tmp_path / "built"))


def test_given_a_python_of_lambdas_version_then_every_module_is_compiled_and_never_checked_again(
    tmp_path: Path,
) -> None:
    found = subprocess.run(
        ["make", "--makefile", "-", "show"],
        cwd=ROOT,
        input="include lambda.mk\nshow: ; @echo $(LAMBDA_PYTHON)\n",
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    if not found:
        pytest.skip("this machine has no Python 3.13")
    _make("functions", "build-ActivateFunction", tmp_path / "built")
    files = _files(tmp_path / "built")

    sources = {name for name in files if name.endswith(".py")}
    compiled = _bytecode(files)

    assert {importlib.util.source_from_cache(name) for name in compiled} == sources
    # PEP 552: 1 is a hash, and unchecked.
    assert {files[name][4:8] for name in compiled} == {b"\x01\x00\x00\x00"}
    # The path to which Lambda unpacks it, for tracebacks.
    assert all(b"/var/task/activate/" in files[name] for name in compiled if len(files[name]) > 200)
