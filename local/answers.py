"""What the code answers over HTTP, read from its source: every `Problem(...)`, `reply(...)` and `proxy_response(...)` in it.

So a description of the API says what the code says, and a new answer cannot be forgotten.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = (ROOT / "functions", ROOT / "layers" / "altcraft" / "src")


@dataclass(frozen=True)
class Answer:
    """One place in the code that answers. What it computes, rather than writes down, is None."""

    where: str
    """The function it is in, such as `activate.intake.Intake.receive`."""
    status: int | None
    headers: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Told(Answer):
    """An error, told as a problem."""

    slug: str | None = None
    title: str | None = None
    detail: str | None = None
    retryable: bool = False


def answers() -> list[Answer]:
    """Every answer in the source of the functions and of the layer, in the order of files and lines."""
    return [
        answer
        for package in PACKAGES
        for path in sorted(package.rglob("*.py"))
        for answer in read(path.read_text(), ".".join(path.relative_to(package).with_suffix("").parts))
    ]


def read(source: str, module: str) -> list[Answer]:
    """Every answer in the source of one module. Raises ValueError where a Problem is written in a way not understood."""
    return list(_answers_in(ast.parse(source), module))


def _answers_in(node: ast.AST, where: str) -> Iterator[Answer]:
    for child in ast.iter_child_nodes(node):
        inner = f"{where}.{child.name}" if isinstance(child, ast.FunctionDef | ast.ClassDef) else where
        yield from _answers_in(child, inner)
        if isinstance(child, ast.Call) and isinstance(child.func, ast.Name):
            keywords = {keyword.arg or "": keyword.value for keyword in child.keywords}
            match child.func.id, child.args:
                case "Problem", [status, slug, title, detail, *_]:
                    yield Told(
                        where,
                        _status(status),
                        _keys(keywords.get("headers")),
                        slug=_text(slug),
                        title=_text(title),
                        detail=_text(detail),
                        retryable=_is_true(keywords.get("retryable")),
                    )
                case "Problem", _:
                    raise ValueError(f"{where}, line {child.lineno}: give Problem its first four arguments by position")
                case "reply", [_, status, *rest]:
                    yield Answer(where, _status(status), _keys(*rest[1:2], keywords.get("headers")))
                case "proxy_response", [status, *rest]:
                    yield Answer(where, _status(status), _keys(*rest[2:3], keywords.get("headers")))


def _status(node: ast.expr) -> int | None:
    match node:
        case ast.Attribute(value=ast.Name(id="HTTPStatus"), attr=name):
            return int(HTTPStatus[name])
        case ast.Constant(value=int(number)):
            return number
    return None


def _text(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _is_true(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is True


def _keys(*nodes: ast.expr | None) -> frozenset[str]:
    written = [node for node in nodes if isinstance(node, ast.Dict)]
    return frozenset(text for node in written for key in node.keys if key and (text := _text(key)))
