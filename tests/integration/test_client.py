"""The client against an Altcraft over HTTP, in both wire formats, with and without failures."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest

from altcraft.client import Client, Timeouts
from altcraft.errors import AltcraftError, IncoherentReply, NotUnderstood, Refused, TokenRefused, Unreachable, is_lost
from altcraft.token import REREAD_SECONDS, Token, UnusableToken
from altcraft.wire import Wire
from local.emulator import Emulator
from local.emulator.faults import AnyFault, Cut, Delay, Drop, Page, Refuse
from local.emulator.http import Request, Response, Server
from local.emulator.settings import Refusal, Settings
from tests.secret import TOKEN, Secret


@pytest.fixture(params=get_args(Wire))
def wire(request: pytest.FixtureRequest) -> Wire:
    wire: Wire = request.param
    return wire


@pytest.fixture
def client(emulator: Emulator, wire: Wire) -> Client:
    emulator.programs.add(5, "attached", "Ünïcode & <b>", attached=True)
    emulator.programs.add(5, "loose")
    emulator.programs.add(5, "old", attached=True, expire_date=datetime(2024, 4, 1, tzinfo=UTC))
    return Client(emulator.url, Token(Secret()), wire)


def test_activate_marks_the_code_as_used(client: Client) -> None:
    before = datetime.now(UTC)
    client.activate("attached", 5)
    state = client.get("attached", 5)
    assert (state.is_activated, state.is_attached, state.is_expired) == (True, True, False)
    moment = state.activated_at()
    assert moment is not None
    assert abs(moment - before) < timedelta(seconds=5)


def test_codes_are_sent_unchanged(client: Client) -> None:
    client.activate("Ünïcode & <b>", 5)
    assert client.get("Ünïcode & <b>", 5).code == "Ünïcode & <b>"


@pytest.mark.parametrize(("code", "loyalty_id"), [("loose", 5), ("old", 5), ("unknown", 5), ("attached", 6)])
def test_a_refusal_has_altcrafts_error_text(client: Client, code: str, loyalty_id: int) -> None:
    with pytest.raises(Refused) as refused:
        client.activate(code, loyalty_id)
    assert refused.value.error != 0
    assert refused.value.error_text.startswith("Emulated: ")
    assert not refused.value.retryable


def test_get_returns_the_codes_state(client: Client) -> None:
    loose, old = client.get("loose", 5), client.get("old", 5)
    assert (loose.is_attached, loose.is_activated, loose.is_expired) == (False, False, False)
    assert (old.is_attached, old.is_expired) == (True, True)
    assert loose.activated_at() is None


def test_replies_may_be_compressed_and_may_come_with_any_status(emulator: Emulator, client: Client) -> None:
    emulator.settings = Settings(compress=True, error_status=400)
    client.activate("attached", 5)
    with pytest.raises(Refused, match="Emulated"):
        client.get("unknown", 5)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Page(status=503), Unreachable),
        (Page(status=429), Unreachable),
        (Page(status=200), IncoherentReply),
        (Page(status=404, body=""), IncoherentReply),
        (Page(status=302, headers={"Location": "http://127.0.0.1:1/"}), IncoherentReply),
        (Page(status=200, content_type="application/json", body='{"error": false}'), IncoherentReply),
        (Page(status=200, content_type="application/json", body='{"error": 7, "error": 0}'), IncoherentReply),
        (Page(status=200, content_type="application/json", body='{"data": null}'), IncoherentReply),
        (Page(status=200, content_type="application/xml", body="<xml><error>O</error></xml>"), IncoherentReply),
        (Page(status=200, body="x" * (2 << 20)), IncoherentReply),
        (Drop(), Unreachable),
        (Cut(after=10), Unreachable),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_a_missing_or_malformed_answer_is_retryable(
    emulator: Emulator, client: Client, fault: AnyFault, kind: type[AltcraftError]
) -> None:
    emulator.faults.set([fault])
    with pytest.raises(kind) as failed:
        client.activate("attached", 5)
    assert failed.value.retryable
    assert TOKEN not in str(failed.value)
    assert client.get("attached", 5).is_attached  # and the client still works


def test_a_reply_that_is_late_is_not_waited_for(emulator: Emulator, wire: Wire) -> None:
    emulator.programs.add(5, "attached", attached=True)
    emulator.faults.set([Delay(seconds=60)])
    client = Client(emulator.url, Token(Secret()), wire, Timeouts(read=1))
    with pytest.raises(Unreachable) as failed:
        client.activate("attached", 5)
    assert failed.value.retryable
    assert client.get("attached", 5).is_activated  # and the client is as good as new


def test_activate_is_sent_once_even_when_its_reply_is_lost(emulator: Emulator, client: Client) -> None:
    emulator.faults.set([Drop(applied=True)])
    with pytest.raises(Unreachable) as lost:
        client.activate("attached", 5)
    assert lost.value.may_be_applied
    assert emulator.journal.calls["activate"] == 1
    assert client.get("attached", 5).is_activated


def test_a_failed_connect_has_sent_nothing() -> None:
    with Server(lambda _: Response(200)) as server:
        address = server.url
    with pytest.raises(Unreachable) as failed:
        Client(address, Token(Secret())).activate("Code-1", 5)
    assert not failed.value.may_be_applied


@pytest.mark.parametrize("error", [401, 403])
def test_a_refused_token_is_read_again_once(emulator: Emulator, wire: Wire, error: int) -> None:
    emulator.settings = Settings(wrong_token=Refusal(error, "No ..."))
    emulator.programs.add(5, "Code-1", attached=True)
    secret = Secret(TOKEN, cached="rotated-away")
    Client(emulator.url, Token(secret), wire).activate("Code-1", 5)
    assert secret.reads == 1
    assert emulator.programs.activations[5, "Code-1"] == 1


def test_the_error_for_a_refused_token_does_not_hold_the_token(emulator: Emulator, wire: Wire) -> None:
    emulator.settings = Settings(wrong_token=Refusal(401, "the token stale-token is unknown"))
    secret = Secret("stale-token", cached="stale-token")
    with pytest.raises(TokenRefused) as refused:
        Client(emulator.url, Token(secret), wire).activate("Code-1", 5)
    assert secret.reads == 1
    assert refused.value.retryable
    assert "stale-token" not in str(refused.value)


def test_a_secret_that_turned_stale_while_its_token_was_refused_is_still_a_newer_one(emulator: Emulator) -> None:
    class Expiring(Secret):
        """Its cache ends once the token was given."""

        def text(self) -> str:
            given, self.cached = super().text(), self.stored
            return given

    emulator.programs.add(5, "Code-1", attached=True)
    secret = Expiring(TOKEN, cached="rotated-away")
    Client(emulator.url, Token(secret)).activate("Code-1", 5)
    assert emulator.programs.activations[5, "Code-1"] == 1


def test_altcrafts_error_text_is_made_safe_for_xml_and_logs(emulator: Emulator, client: Client) -> None:
    body = r'{"data": null, "error": 901, "error_text": "cut \ud83d off\u0000"}'
    emulator.faults.set([Page(status=200, body=body)])
    with pytest.raises(Refused) as refused:
        client.activate("attached", 5)
    assert refused.value.error_text == "cut   off "


def test_the_token_is_read_again_on_demand(emulator: Emulator, wire: Wire) -> None:
    secret = Secret("stale-token", cached="stale-token")
    client = Client(emulator.url, Token(secret), wire)
    with pytest.raises(TokenRefused):
        client.get("attached", 5)
    assert not client.renew_token()
    secret.stored = TOKEN
    assert client.renew_token()


@pytest.mark.parametrize("status", [429, 500, 503, 504])
@pytest.mark.parametrize("error", [0, 401, 500, 901])
def test_http_429_and_5xx_are_unreachable_whatever_the_envelope(
    emulator: Emulator, client: Client, status: int, error: int
) -> None:
    emulator.faults.set([Refuse(error=error, error_text="slow down", status=status)])
    with pytest.raises(Unreachable, match=str(status)) as failed:
        client.activate("attached", 5)
    assert failed.value.refusal is not None
    assert (failed.value.refusal.error, failed.value.refusal.error_text) == (error, "slow down")
    assert failed.value.may_be_applied


@pytest.mark.parametrize(("error", "lost"), [(402, False), (429, False), (440, False), (500, True), (599, True)])
def test_an_error_that_is_not_about_the_code_is_not_understood(
    emulator: Emulator, client: Client, error: int, lost: bool
) -> None:
    emulator.faults.set([Refuse(error=error, error_text="?")])
    with pytest.raises(NotUnderstood) as failed:
        client.activate("attached", 5)
    assert (failed.value.retryable, failed.value.may_be_applied, is_lost(failed.value)) == (True, True, lost)


@pytest.mark.parametrize("location", ["http://[bad", "http://x/\xff"])
def test_a_redirect_to_an_invalid_address_is_incoherent(emulator: Emulator, client: Client, location: str) -> None:
    emulator.faults.set([Page(status=302, headers={"Location": location})])
    with pytest.raises(IncoherentReply):
        client.activate("attached", 5)


def test_a_5xx_with_retry_after_keeps_altcrafts_error_text(emulator: Emulator, client: Client) -> None:
    body = '{"data": null, "error": 901, "error_text": "slow down"}'
    emulator.faults.set(
        [Page(status=503, content_type="application/json", body=body, headers={"Retry-After": "0"}, calls=None)]
    )
    with pytest.raises(Unreachable) as failed:
        client.activate("attached", 5)
    assert failed.value.refusal is not None
    assert failed.value.refusal.error_text == "slow down"


def test_an_error_may_come_in_the_other_format(emulator: Emulator, client: Client) -> None:
    for body in ('{"data": null, "error": 901, "error_text": "no"}', "<xml><data/><error>901</error></xml>"):
        emulator.faults.set([Page(status=200, body=body)])
        with pytest.raises(Refused) as refused:
            client.activate("attached", 5)
        assert refused.value.error == 901


@pytest.mark.parametrize("status", [200, 400, 404])
@pytest.mark.parametrize("error", [-1, 1, 400, 404, 499, 600, 777])
def test_a_refusal_is_recognised_by_its_error_and_not_by_the_status(
    emulator: Emulator, client: Client, status: int, error: int
) -> None:
    emulator.faults.set([Refuse(error=error, error_text="no", status=status)])
    with pytest.raises(Refused) as refused:
        client.activate("attached", 5)
    assert (refused.value.retryable, refused.value.may_be_applied) == (False, False)


@pytest.fixture
def recorded(wire: Wire) -> Iterator[tuple[Client, list[Request]]]:
    seen: list[Request] = []

    def serve(request: Request) -> Response:
        seen.append(request)
        return Response(200, b'{"data": null, "error": 0, "error_text": "Successful operation"}')

    with Server(serve) as server:
        yield Client(server.url + "/", Token(Secret('{"token": "t0p"}')), wire), seen


def test_the_request_that_is_sent(recorded: tuple[Client, list[Request]], wire: Wire) -> None:
    client, seen = recorded
    client.activate("Code-1", 5)
    client.activate("Code-2", 5)
    first = seen[0]
    assert (first.method, first.target) == ("POST", "/api/v1.1/promocodes/activate")
    assert first.headers["Content-Type"].startswith(f"application/{wire}")
    assert first.headers["Accept-Encoding"] == "gzip"
    assert first.headers["User-Agent"].startswith("altcraft-promocodes-aws/1.")
    expected = {
        "json": b'{"code":"Code-1","loyalty_id":5,"token":"t0p","format":"json"}',
        "xml": b"<xml><code>Code-1</code><loyalty_id>5</loyalty_id><token>t0p</token><format>xml</format></xml>",
    }
    assert first.body == expected[wire]


@pytest.mark.parametrize(
    "text", ["", "   ", "{}", '{"token": 5}', '{"token": ""}', '{"token"', "two\nlines", '{"token": ' + "[" * 100_000]
)
def test_a_secret_without_a_token_says_how_to_store_one(text: str) -> None:
    with pytest.raises(UnusableToken, match="plain text or as"):
        Token(Secret(text)).value()


class Clock:
    """A clock that only the test moves."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def test_a_secret_without_a_token_that_was_fixed_just_now_is_used_at_once() -> None:
    secret = Secret(TOKEN, cached="{}")
    token = Token(secret, Clock())
    assert [token.value(), token.value()] == [TOKEN, TOKEN]
    assert secret.reads == 1


def test_a_secret_that_stays_without_a_token_is_read_once_in_a_while() -> None:
    secret, clock = Secret("{}", cached="{}"), Clock()
    token = Token(secret, clock)
    for _ in range(50):
        with pytest.raises(UnusableToken):
            token.value()
    assert secret.reads == 1
    secret.stored = TOKEN
    clock.seconds += REREAD_SECONDS - 1
    with pytest.raises(UnusableToken):
        token.value()
    clock.seconds += 1
    assert token.value() == TOKEN
    assert secret.reads == 2


def test_a_token_that_turned_unusable_while_it_was_refused_is_read_again(emulator: Emulator, wire: Wire) -> None:
    emulator.programs.add(5, "Code-1", attached=True)
    secret, clock = Secret("{}", cached="rotated-away"), Clock()
    client = Client(emulator.url, Token(secret, clock), wire)
    with pytest.raises(UnusableToken):
        client.activate("Code-1", 5)
    secret.stored = TOKEN
    client.activate("Code-1", 5)
    assert emulator.programs.activations[5, "Code-1"] == 1


@pytest.mark.parametrize("url", ["", "example.altcraft.com", "ftp://example.altcraft.com", "https://", "https://x?y=1"])
def test_an_invalid_address_names_the_setting(url: str) -> None:
    with pytest.raises(ValueError, match="ALTCRAFT_URL"):
        Client(url, Token(Secret()))


def test_a_reply_of_get_that_is_not_as_documented_is_incoherent(emulator: Emulator, client: Client) -> None:
    for data in ("null", '{"code": "x", "is_attached": "perhaps"}'):
        emulator.faults.set([Page(status=200, body=f'{{"data": {data}, "error": 0}}')])
        with pytest.raises(IncoherentReply):
            client.get("attached", 5)
