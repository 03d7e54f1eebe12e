"""The Russian pages and the English ones that they were written from.

A Russian page begins with a line that names its original and that file's git blob. Where the original has changed since,
`make docs` (`python -m docs.generate.ru`) writes below it, in Russian, that the page lags, and prints the command that shows
the change. `python -m docs.generate.ru docs/ru/deploy.md` records that the page is up to date again, unless what can be
compared without reading Russian differs: then it says what, and changes nothing.
"""

import hashlib
import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "ru").rglob("*.md"))

_ORIGIN = re.compile(r"<!-- Original: (?P<original>\S+), git blob (?P<blob>[0-9a-f]{40}) -->\n")
_LAGS = (
    "> **Перевод отстаёт от оригинала.** [Английская страница]({}) с тех пор изменилась; "  # noqa: RUF001
    "где страницы расходятся, верна она.\n\n"
)
_NOTE = re.compile(re.escape(_LAGS).replace(r"\{\}", r"[^)]+"))
_BLOCK = re.compile(r"^( *)```.*?^\1```$", re.MULTILINE | re.DOTALL)


class Unusable(ValueError):
    """A page, or what was asked of it, cannot be used; the text says why, for a person."""


def blob(path: Path) -> str:
    """The file's name in git, as `git hash-object` prints it; `git diff BLOB FILE` shows what has changed since."""
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0%b" % (len(content), content), usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class Page:
    """A Russian page."""

    path: Path
    original: Path
    written_from: str
    """The git blob of the original that the page was written from."""
    says_that_it_lags: bool
    body: str
    """The page without its first line and without the note that it lags."""

    @property
    def lags(self) -> bool:
        return self.written_from != blob(self.original)

    def text(self, written_from: str) -> str:
        """The whole page as it has to be, written from this version of the original."""
        note = _LAGS.format(relative(self.original, self.path)) if written_from != blob(self.original) else ""
        head = f"<!-- Original: {self.original.relative_to(ROOT).as_posix()}, git blob {written_from} -->\n"
        return head + note + self.body


def relative(target: Path, page: Path) -> str:
    """How a page links to a file."""
    return Path(os.path.relpath(target, page.parent)).as_posix()


def read(path: Path) -> Page:
    """
    Raises:
        Unusable: the page does not begin with its original, or that file is not there.
    """
    text = path.read_text(encoding="utf-8")
    found = _ORIGIN.match(text)
    if not found:
        raise Unusable(f"{path}: the first line is not <!-- Original: docs/PAGE.md, git blob HASH -->")
    original = ROOT / found["original"]
    if not original.is_file():
        raise Unusable(f"{path}: there is no {found['original']}: name the page's original, or delete the page")
    body = text[found.end() :]
    note = _NOTE.match(body)
    return Page(path, original, found["blob"], note is not None, body[note.end() :] if note else body)


def blocks(text: str) -> list[str]:
    """The code blocks of a page, with their fences."""
    return [found[0] for found in _BLOCK.finditer(text)]


def _prose(text: str) -> str:
    return _BLOCK.sub("", text)


def _commands(text: str) -> set[str]:
    """What the prose quotes as code; spaces at line breaks count as one."""
    return {
        " ".join(code.split()) for _, code in re.findall(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", _prose(text), re.DOTALL)
    }


def _rows(text: str) -> list[int]:
    return [len(table.splitlines()) for table in re.findall(r"(?:^ *\|.*\|\n?)+", _prose(text), re.MULTILINE)]


def _headings(text: str) -> list[int]:
    return [len(signs) for signs in re.findall(r"^(#+) ", _prose(text), re.MULTILINE)]


def differences(english: str, russian: str) -> Iterator[str]:
    """What must be equal in both pages, and is not: each a line for the person who edits the Russian page."""
    theirs, ours = blocks(english), blocks(russian)
    if len(theirs) != len(ours):
        yield f"{len(ours)} code blocks, and the original has {len(theirs)}"
    for number, (their, our) in enumerate(zip(theirs, ours, strict=False), 1):
        if their != our:
            yield f"code block {number} is not the original's, byte for byte"
    for code in sorted(_commands(english) - _commands(russian)):
        yield f"`{code}` of the original is missing"
    for code in sorted(_commands(russian) - _commands(english)):
        yield f"`{code}` is not in the original"
    if _rows(english) != _rows(russian):
        yield f"tables of {_rows(russian)} lines, and the original's have {_rows(english)}"
    if _headings(english) != _headings(russian):
        yield f"headings of the levels {_headings(russian)}, and the original's are {_headings(english)}"


def note_what_lags(pages: Iterable[Path]) -> None:
    """Writes into each page whether it lags, and prints how to see what has changed."""
    for page in [read(path) for path in pages]:
        page.path.write_text(page.text(page.written_from), encoding="utf-8")
        if page.lags:
            names = page.path.relative_to(ROOT), page.original.relative_to(ROOT)
            print(f"{names[0]} lags: git diff {page.written_from[:12]} {names[1]}")


def record(pages: Iterable[Path]) -> None:
    """Records that the pages are up to date.

    Raises:
        Unusable: one of them is no Russian page, or differs from its original; then none is changed.
    """
    read_pages = []
    for path in pages:
        if path.resolve() not in PAGES:
            raise Unusable(f"{path} is not a page of docs/ru")
        read_pages.append(read(path.resolve()))
    faults = [
        f"{page.path.relative_to(ROOT)}: {difference}"
        for page in read_pages
        for difference in differences(page.original.read_text(encoding="utf-8"), page.body)
    ]
    if faults:
        raise Unusable("\n".join(faults))
    for page in read_pages:
        page.path.write_text(page.text(blob(page.original)), encoding="utf-8")


def main(arguments: list[str]) -> int:
    try:
        if arguments:
            record(map(Path, arguments))
        else:
            note_what_lags(PAGES)
    except Unusable as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
