"""docs/export-ways.svg, the bars beside the table of docs/performance.md, drawn from that table: `make docs` keeps it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple
from xml.sax.saxutils import escape

DOCS: Final = Path(__file__).parents[1]
PAGE: Final = DOCS / "performance.md"
PICTURE: Final = DOCS / "export-ways.svg"

_ROW: Final = re.compile(
    r"^\| (\*\*)?([^|*]+?)(?:\*\*)? +\| +([\d.]+) \| +([\d.]+) \| +([\d.]+) \| +([\d.]+) \|$", re.MULTILINE
)

_LABEL, _WIDEST, _LINE, _TOP = 330, 380, 26, 44


class Way(NamedTuple):
    """One row of the table."""

    name: str
    ours: bool
    rate: float
    """Million codes for each second of CPU time."""
    against_floor: float


def ways(page: str) -> list[Way]:
    """The rows of the table of ways, in its order."""
    return [Way(name, bool(bold), float(rate), float(floor)) for bold, name, _, rate, _, floor in _ROW.findall(page)]


def drawn(rows: list[Way]) -> str:
    """The picture: a bar for each way, the longer the faster."""
    height = _TOP + _LINE * len(rows) + 12
    most = max(way.rate for way in rows)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 840 {height}" role="img"',
        ' font-family="sans-serif" font-size="13">',
        "<title>Million codes exported for each second of CPU time, by way</title>",
        f'<rect width="840" height="{height}" fill="#ffffff"/>',
        '<text x="16" y="26" font-size="15" fill="#1f2328">Million codes for each second of CPU time (longer is faster)</text>',
    ]
    for number, way in enumerate(rows):
        y = _TOP + _LINE * number
        width = max(_WIDEST * way.rate / most, 1)
        weight = ' font-weight="bold"' if way.ours else ""
        lines += [
            f'<text x="{_LABEL - 8}" y="{y + 15}" text-anchor="end" fill="#1f2328"{weight}>{escape(way.name)}</text>',
            f'<rect x="{_LABEL}" y="{y + 2}" width="{width:.1f}" height="18" fill="{"#0969da" if way.ours else "#8c959f"}"/>',
            f'<text x="{_LABEL + width + 6:.1f}" y="{y + 15}" fill="#1f2328">{way.rate:.2f}</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])


def main() -> None:
    """Draw it anew."""
    PICTURE.write_text(drawn(ways(PAGE.read_text(encoding="utf-8"))), encoding="utf-8")


if __name__ == "__main__":
    main()
