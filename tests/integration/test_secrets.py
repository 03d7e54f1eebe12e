"""Reading secrets of a real Secrets Manager: the cache and its lifetime, and secrets that cannot be read."""

import uuid
from typing import Any

import pytest

from lambda_support.secrets import LIFETIME_SECONDS, RETRY_SECONDS, Secret, SecretError
from local.engine import Aws


class Clock:
    """A clock that only the test moves."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def manager(aws: Aws) -> Any:
    return aws.client("secretsmanager")


def _secret(manager: Any, **value: str | bytes) -> str:
    name: str = manager.create_secret(Name=f"secret-{uuid.uuid4()}", **value)["Name"]
    return name


def test_given_a_secret_that_was_read_when_it_changes_then_the_cached_text_is_served_until_its_lifetime_ends(
    manager: Any,
) -> None:
    name, clock = _secret(manager, SecretString="old"), Clock()
    secret = Secret(name, clock)
    assert secret.text() == "old"
    manager.put_secret_value(SecretId=name, SecretString="new")
    clock.seconds = LIFETIME_SECONDS - 1
    assert secret.text() == "old"
    clock.seconds = LIFETIME_SECONDS
    assert secret.text() == "new"


def test_given_a_fresh_secret_when_refreshed_then_it_is_read_and_cached_again(manager: Any) -> None:
    name, clock = _secret(manager, SecretString="old"), Clock()
    secret = Secret(name, clock)
    secret.text()
    manager.put_secret_value(SecretId=name, SecretString="new")
    clock.seconds = LIFETIME_SECONDS - 1
    assert secret.refresh() == "new"
    manager.put_secret_value(SecretId=name, SecretString="newest")
    clock.seconds += LIFETIME_SECONDS - 1
    assert secret.text() == "new"


@pytest.mark.parametrize("value", [{}, {"SecretBinary": b"\x00"}], ids=["without a value", "binary"])
def test_given_a_secret_that_holds_no_text_when_read_then_the_error_names_it(
    manager: Any, value: dict[str, bytes]
) -> None:
    name = _secret(manager, **value)
    with pytest.raises(SecretError, match=name):
        Secret(name).text()


def test_given_no_such_secret_when_read_then_the_error_names_it_and_the_remedy(aws: Aws) -> None:
    with pytest.raises(SecretError, match=r"no-such-secret.*must exist"):
        Secret("no-such-secret").text()


def test_given_a_secret_that_was_read_when_it_can_no_longer_be_read_then_its_text_stays_in_use(manager: Any) -> None:
    name, clock = _secret(manager, SecretString="old"), Clock()
    secret = Secret(name, clock)
    secret.text()
    manager.delete_secret(SecretId=name)
    clock.seconds = LIFETIME_SECONDS
    assert secret.text() == "old"
    manager.restore_secret(SecretId=name)
    manager.put_secret_value(SecretId=name, SecretString="new")
    assert secret.text() == "old"
    clock.seconds += RETRY_SECONDS
    assert secret.text() == "new"


def test_given_a_secret_that_was_read_when_refreshed_and_unreadable_then_the_error_says_why(manager: Any) -> None:
    name = _secret(manager, SecretString="old")
    secret = Secret(name)
    secret.text()
    manager.delete_secret(SecretId=name)
    with pytest.raises(SecretError, match="InvalidRequestException"):
        secret.refresh()
