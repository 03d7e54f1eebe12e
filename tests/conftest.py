"""Fixtures with real parts for all tests: an emulated Altcraft, and an emulated AWS, each over HTTP."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from local.emulator import Emulator
from local.engine import Aws

# An example's duration depends on the machine's load rather than on the code.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """An Altcraft without programs or faults, which takes the token `local-altcraft-token`."""
    with Emulator() as serving:
        yield serving


@pytest.fixture(scope="session")
def aws() -> Iterator[Aws]:
    """An AWS that every SDK in this process finds by itself; nothing is in it."""
    with Aws() as serving, pytest.MonkeyPatch.context() as environment:
        for name, value in serving.environment.items():
            environment.setenv(name, value)
        yield serving


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the long tests first: at the end they would keep one worker busy while the others have nothing to do."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)
