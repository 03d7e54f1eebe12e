"""The sample events of shops' deliveries, held against the script that makes them. tests/e2e/test_events.py runs them."""

from docs.generate.sample_events import EVENTS, events, spelled


def test_given_the_committed_events_then_they_are_what_the_script_writes() -> None:
    written = {file: spelled(event) for file, event in events().items()}
    assert {file: (EVENTS / file).read_text() for file in written} == written
