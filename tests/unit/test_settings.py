"""Settings of a function: reading them from its environment, and the errors for missing or invalid ones."""

from dataclasses import dataclass
from typing import Any, Literal

import pytest

from activate import app
from activate.settings import settings
from lambda_support.settings import SettingsError, read


@dataclass(frozen=True)
class Settings:
    """One field of each kind."""

    a_text: str
    a_number: int
    a_choice: Literal["json", "xml"] = "json"
    a_default: str = ""


GOOD = {"A_TEXT": " text ", "A_NUMBER": "5"}


def test_given_the_required_settings_then_the_others_have_their_defaults() -> None:
    assert read(Settings, GOOD) == Settings("text", 5, "json", "")
    assert read(Settings, GOOD | {"A_CHOICE": "xml", "A_DEFAULT": "x"}) == Settings("text", 5, "xml", "x")


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, "A_TEXT and A_NUMBER: template.yaml"),
        (GOOD | {"A_TEXT": " "}, "A_TEXT: template.yaml"),
        (GOOD | {"A_NUMBER": "five"}, "A_NUMBER must be a whole number"),
        (GOOD | {"A_CHOICE": "yaml"}, "A_CHOICE must be one of: json, xml"),
    ],
)
def test_given_a_setting_that_is_missing_or_wrong_then_it_is_named_with_the_remedy(
    environ: dict[str, str], said: str
) -> None:
    with pytest.raises(SettingsError, match=said):
        read(Settings, environ)


class Context:
    """Lambda's context, with the attributes that Powertools' logger needs."""

    function_name = memory_limit_in_mb = invoked_function_arn = aws_request_id = "test"


def test_given_an_invalid_address_of_altcraft_when_activating_then_the_setting_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in (
        "ALTCRAFT_SECRET_ID",
        "SOURCES_SECRET_ID",
        "ACTIVATION_QUEUE_URL",
        "DEAD_LETTER_QUEUE_URL",
        "REDEMPTIONS_TABLE",
        "EXPORT_BUCKET",
    ):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("ALTCRAFT_URL", "altcraft.example.com")
    settings.cache_clear()
    context: Any = Context()
    event = {"httpMethod": "POST", "resource": "/promocodes/activate", "body": '{"code": "x", "loyalty_id": 5}'}
    try:
        answer = app.handler(event, context)
    finally:
        settings.cache_clear()
        app._client.cache_clear()  # noqa: SLF001 - the function caches this test's settings
    assert answer["statusCode"] == 503
    assert "ALTCRAFT_URL must be a scheme and a host" in answer["body"]
