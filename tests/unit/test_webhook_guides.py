"""The guides of the platforms: there is one for each, and every document of sources in them can be used."""

import json
import re
from pathlib import Path

import pytest

from activate.intake import Result
from activate.presets import PRESETS
from activate.sources import SETTINGS, parse

GUIDES = Path(__file__).parents[2] / "docs" / "webhooks"
DOCUMENTS = [
    pytest.param(json.loads(block), id=f"{guide.name}-{number}")
    for guide in sorted(GUIDES.glob("*.md"))
    for number, block in enumerate(re.findall(r"```json\n(.*?)```", guide.read_text(), re.DOTALL))
]


def test_given_a_preset_then_it_has_a_guide_that_the_index_names() -> None:
    index = (GUIDES / "README.md").read_text()
    for platform in PRESETS:
        assert (GUIDES / f"{platform}.md").exists()
        assert f"({platform}.md)" in index
        assert f"`{platform}`" in index


RESULTS = {result.value for result in Result}


def test_given_the_index_then_it_lists_every_setting_and_every_result() -> None:
    index = (GUIDES / "README.md").read_text()
    _, _, table = index.partition("| setting | meaning | default |\n|---|---|---|\n")
    listed = re.findall(r"^\| `([a-z_]+)` \|", table.partition("\n\n")[0], re.MULTILINE)
    assert sorted(listed) == sorted(SETTINGS)
    [results] = re.findall(r"The metric `Intake`, by source and result: (.*?)\.\n", index, re.DOTALL)
    assert set(re.findall("`([a-z_]+)`", results)) == RESULTS


@pytest.mark.parametrize("platform", sorted(PRESETS))
def test_given_a_preset_then_its_guide_says_what_a_reversed_order_is_and_where_its_abuse_is_described(
    platform: str,
) -> None:
    _, found, rest = (GUIDES / f"{platform}.md").read_text().partition("## Reversed orders\n")
    section, _, _ = rest.partition("\n## ")
    assert found
    assert platform == "tilda" or "](README.md#reversed-orders)" in section
    events = [word for word in re.findall("'([^']+)'", PRESETS[platform].get("reversed", "")) if "." in word]
    assert all(event in section for event in events)


@pytest.mark.parametrize("platform", sorted(set(PRESETS) - {"generic"}))
def test_given_a_preset_then_its_guide_lists_the_required_settings_and_what_happens_otherwise(platform: str) -> None:
    _, found, rest = (GUIDES / f"{platform}.md").read_text().partition("## Required settings\n")
    assert found
    rows = [line.split("|")[1:-1] for line in rest.splitlines() if line.startswith("| ") and "setting |" not in line]
    assert len(rows) >= 3
    seen = {word for row in rows for word in re.findall("`([a-z_]+)`", row[2])}
    assert len(seen & RESULTS) >= 2


@pytest.mark.parametrize("document", DOCUMENTS)
def test_given_a_document_in_a_guide_then_it_can_be_used(document: dict[str, dict[str, object]]) -> None:
    text = json.dumps(document).replace("whsec_...", "whsec_c2VjcmV0")
    assert {name: str(fault) for name, fault in parse(text).faults.items()} == {}


@pytest.mark.parametrize("guide", [path.name for path in sorted(GUIDES.glob("*.md"))])
def test_given_a_link_in_a_guide_then_it_has_a_target(guide: str) -> None:
    for target, anchor in re.findall(
        r"\]\(([a-z0-9-]*(?:README)?(?:\.md)?)(#[a-z-]+)?\)", (GUIDES / guide).read_text()
    ):
        page = (GUIDES / (target or guide)).read_text()
        headings = {
            "#" + re.sub(r"[^a-z -]", "", line.lstrip("# ").lower()).replace(" ", "-") for line in page.splitlines()
        }
        assert not anchor or anchor in headings
