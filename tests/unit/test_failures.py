"""A failure has one name wherever it is reported: by an activation, by an export, and on the operators' page."""

from pathlib import Path
from typing import get_args

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from activate.redemption import Reason
from altcraft.errors import (
    AltcraftError,
    AltcraftFailure,
    IncoherentReply,
    NotUnderstood,
    Refused,
    TokenRefused,
    Unreachable,
)
from altcraft.token import UnusableToken
from export_all.failures import DeadlinePassed, EndedByHand, FailureType, failure_of
from export_all.formats.registry import FormatUnavailable
from lambda_support.secrets import SecretError
from lambda_support.settings import SettingsError

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"

FAILURES: dict[str, tuple[BaseException, bool]] = {
    "token_refused": (TokenRefused(401, "who are you"), True),
    "token_unreadable": (SecretError("cannot read the secret"), True),
    "altcraft_unreachable": (Unreachable("no answer"), True),
    "altcraft_failing": (NotUnderstood(402, "the tariff's limit"), True),
    "altcraft_incoherent": (IncoherentReply("a page"), True),
    "refused": (Refused(901, "no"), False),
    "not_configured": (SettingsError("set X"), True),
    "format_unavailable": (FormatUnavailable("parquet needs pyarrow"), False),
    "storage_unavailable": (EndpointConnectionError(endpoint_url="https://s3"), True),
    "deadline": (DeadlinePassed("too large"), True),
    "stopped": (EndedByHand(), True),
}


@pytest.mark.parametrize("name", FAILURES)
def test_given_an_error_then_the_manifest_names_it(name: str) -> None:
    error, retryable = FAILURES[name]
    failure = failure_of(error)
    assert failure is not None
    assert (failure.type, failure.retryable) == (name, retryable)


def test_given_a_secret_without_a_token_then_the_failure_is_that_of_an_unreadable_one() -> None:
    failure = failure_of(UnusableToken("the secret holds no Altcraft token"))
    assert failure is not None
    assert failure.type == "token_unreadable"


def test_given_a_refusal_then_the_manifest_has_altcrafts_error() -> None:
    failure = failure_of(Unreachable("HTTP 503", refusal=NotUnderstood(500, "busy")))
    assert failure is not None
    assert failure.members()["altcraft"] == {"error": 500, "error_text": "busy"}


def test_given_a_refusal_of_aws_then_the_manifest_has_the_remedy() -> None:
    failure = failure_of(ClientError({"Error": {"Code": "NoSuchBucket"}}, "PutObject"))
    assert failure is not None
    assert "EXPORT_BUCKET must name one" in failure.detail


def test_given_a_defect_then_nothing_of_it_is_reported() -> None:
    assert failure_of(LookupError("of ours")) is None


def test_given_an_error_of_altcraft_then_activations_and_exports_name_it_alike() -> None:
    def leaves(kind: type[AltcraftError]) -> set[type[AltcraftError]]:
        ours = {one for one in kind.__subclasses__() if one.__module__ == "altcraft.errors"}
        return set[type[AltcraftError]]().union(*map(leaves, ours)) if ours else {kind}

    assert {kind.kind for kind in leaves(AltcraftError)} == set(get_args(AltcraftFailure))
    shared = {*get_args(AltcraftFailure), "token_unreadable"}
    assert shared <= set(get_args(Reason))
    assert shared <= set(get_args(FailureType))


def test_given_a_failure_then_the_operators_page_says_what_to_do() -> None:
    page = OPERATIONS.read_text(encoding="utf-8")
    section = page.partition("### ExportFailedAlarm")[2].partition("\n### ")[0]
    assert {name for name in get_args(FailureType) if f"`{name}`" not in section} == set()
