"""The Russian pages: each says whether it lags its original, what can be compared is equal, and a reader stays in Russian."""

import re
from pathlib import Path

import pytest

from docs.generate import ru

ROOT = Path(__file__).parents[2]
PAGES = [pytest.param(path, id=path.relative_to(ROOT).as_posix()) for path in ru.PAGES]
IN_RUSSIAN = {ru.read(path).original: path for path in ru.PAGES}

ENGLISH = """\
# Title

Run `make deploy`:

- first

  ```sh
  make deploy   # asks
  ```

| a | b |
|---|---|
| 1 | 2 |
"""
RUSSIAN = ENGLISH.replace("Title", "Заголовок").replace("Run", "Выполните").replace("first", "сначала")


def test_the_pages_that_were_asked_for_are_there() -> None:
    webhooks = {
        ROOT / "docs" / "webhooks" / f"{name}.md" for name in ("README", "tilda", "retailcrm", "insales", "bitrix")
    }
    assert {
        ROOT / "README.md",
        ROOT / "docs" / "deploy.md",
        ROOT / "docs" / "operations.md",
    } | webhooks <= IN_RUSSIAN.keys()


@pytest.mark.parametrize("path", PAGES)
def test_given_an_original_that_has_changed_then_the_page_says_at_its_top_that_it_lags(path: Path) -> None:
    page = ru.read(path)
    assert path.read_text(encoding="utf-8") == page.text(page.written_from), (
        f"{path.relative_to(ROOT)} must say at its top whether it lags {page.original.relative_to(ROOT)}: run `make docs`"
    )


@pytest.mark.parametrize("path", PAGES)
def test_given_a_page_that_does_not_lag_then_code_tables_and_headings_are_the_originals(path: Path) -> None:
    page = ru.read(path)
    found = [] if page.lags else list(ru.differences(page.original.read_text(encoding="utf-8"), page.body))
    assert found == [], f"{path.relative_to(ROOT)} differs from {page.original.relative_to(ROOT)}"


@pytest.mark.parametrize("path", PAGES)
def test_given_a_link_to_a_page_that_there_is_in_russian_then_it_leads_there(path: Path) -> None:
    page = ru.read(path)
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.body):
        linked = (path.parent / target).resolve()
        if re.match(r"[a-z]+:", target) or linked == page.original:
            continue
        assert linked.exists(), target
        assert linked not in IN_RUSSIAN, f"link to {ru.relative(IN_RUSSIAN[linked], path)}, not to {target}"


def test_given_the_english_overviews_then_they_lead_to_the_russian_one() -> None:
    assert "](docs/ru/README.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert "](ru/README.md)" in (ROOT / "docs" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"", "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"),
        (b"hello\n", "ce013625030ba8dba906f756967f9e9ca394464a"),
    ],
)
def test_given_a_file_then_its_blob_is_the_one_that_git_names(content: bytes, named: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    assert ru.blob(tmp_path / "file") == named


@pytest.mark.parametrize(
    ("old", "new", "difference"),
    [
        ("make deploy   # asks", "make deploy   # спросит", "code block 1 is not the original's, byte for byte"),
        ("  ```sh\n  make deploy   # asks\n  ```\n", "", "0 code blocks, and the original has 1"),
        ("`make deploy`", "`make install`", "`make deploy` of the original is missing"),
        ("`make deploy`", "`make deploy` и `make help`", "`make help` is not in the original"),
        ("| 1 | 2 |\n", "", "tables of [2] lines, and the original's have [3]"),
        ("# Заголовок", "## Заголовок", "headings of the levels [2], and the original's are [1]"),
    ],
)
def test_given_a_page_that_differs_then_it_is_said_where(old: str, new: str, difference: str) -> None:
    assert old in RUSSIAN
    assert difference in list(ru.differences(ENGLISH, RUSSIAN.replace(old, new)))


def test_given_a_page_of_other_words_only_then_nothing_differs() -> None:
    assert list(ru.differences(ENGLISH, RUSSIAN)) == []


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Russian page in a repository of its own, up to date with its original."""
    original, path = tmp_path / "docs" / "deploy.md", tmp_path / "docs" / "ru" / "deploy.md"
    path.parent.mkdir(parents=True)
    original.write_text(ENGLISH, encoding="utf-8")
    path.write_text(f"<!-- Original: docs/deploy.md, git blob {ru.blob(original)} -->\n{RUSSIAN}", encoding="utf-8")
    monkeypatch.setattr(ru, "ROOT", tmp_path)
    monkeypatch.setattr(ru, "PAGES", [path])
    return path


def test_given_a_changed_original_then_the_page_says_so_until_it_is_up_to_date(
    page: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    original, before = page.parents[1] / "deploy.md", page.read_text(encoding="utf-8")
    old = ru.blob(original)
    original.write_text(ENGLISH + "\nMore.\n", encoding="utf-8")

    assert ru.main([]) == 0
    assert capsys.readouterr().out == f"docs/ru/deploy.md lags: git diff {old[:12]} docs/deploy.md\n"
    noted = page.read_text(encoding="utf-8")
    assert noted.startswith(f"<!-- Original: docs/deploy.md, git blob {old} -->\n> **Перевод отстаёт")
    assert "](../deploy.md)" in noted.splitlines()[1]
    assert ru.main([]) == 0
    assert page.read_text(encoding="utf-8") == noted

    assert ru.main([str(page)]) == 0
    assert page.read_text(encoding="utf-8") == before.replace(old, ru.blob(original))


def test_given_an_original_that_is_as_before_again_then_the_note_goes(page: Path) -> None:
    original, before = page.parents[1] / "deploy.md", page.read_text(encoding="utf-8")
    original.write_text(ENGLISH + "\nMore.\n", encoding="utf-8")
    ru.main([])
    original.write_text(ENGLISH, encoding="utf-8")

    assert ru.main([]) == 0
    assert page.read_text(encoding="utf-8") == before


def test_given_a_page_that_differs_then_it_is_not_recorded_as_up_to_date(
    page: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (page.parents[1] / "deploy.md").write_text(ENGLISH + "\n`make token`\n", encoding="utf-8")
    before = page.read_text(encoding="utf-8")

    assert ru.main([str(page)]) == 1
    assert capsys.readouterr().err == "docs/ru/deploy.md: `make token` of the original is missing\n"
    assert page.read_text(encoding="utf-8") == before


def test_given_something_else_than_a_russian_page_then_it_is_refused(
    page: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = page.read_text(encoding="utf-8")
    original = page.parents[1] / "deploy.md"

    assert ru.main([str(page), str(original)]) == 1
    assert capsys.readouterr().err == f"{original} is not a page of docs/ru\n"
    assert page.read_text(encoding="utf-8") == before


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ("# Заголовок\n", "the first line is not <!-- Original: docs/PAGE.md, git blob HASH -->"),
        (
            f"<!-- Original: docs/gone.md, git blob {'0' * 40} -->\n",
            "there is no docs/gone.md: name the page's original",
        ),
    ],
)
def test_given_a_page_without_an_original_then_that_is_said(
    page: Path, head: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    page.write_text(head, encoding="utf-8")

    assert ru.main([]) == 1
    assert said in capsys.readouterr().err
    assert page.read_text(encoding="utf-8") == head
