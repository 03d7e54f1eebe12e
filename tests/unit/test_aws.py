"""The clients of AWS's services."""

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest

from export_all.app import MARGIN_SECONDS
from lambda_support import aws


@pytest.fixture(autouse=True)
def _own_clients(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    aws.client.cache_clear()
    yield
    aws.client.cache_clear()


def link() -> str:
    url: str = aws.client("s3").generate_presigned_url("get_object", Params={"Bucket": "shop", "Key": "a/b"})
    return url


@pytest.mark.parametrize("region", ["eu-west-1", "eu-central-1"])
def test_a_link_works_with_a_kms_key_and_with_a_new_bucket(monkeypatch: pytest.MonkeyPatch, region: str) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)

    address = urlsplit(link())

    # KMS requires version 4; the global host redirects a new bucket's callers, which invalidates the signature
    assert parse_qs(address.query)["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert (address.netloc, address.path) == (f"shop.s3.{region}.amazonaws.com", "/a/b")


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
def test_an_emulator_needs_no_host_name_per_bucket(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv(variable, "http://localhost:5000")

    assert link().startswith("http://localhost:5000/shop/a/b?")


def test_a_bus_that_hangs_does_not_use_up_what_an_export_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")

    config = aws.client("events").meta.config

    attempts = config.retries["total_max_attempts"]
    assert attempts > 1
    assert (config.connect_timeout + config.read_timeout) * attempts < MARGIN_SECONDS
