"""Each answer that docs/openapi.yaml describes is given: the API is brought to it, in JSON and in XML.

That an answer which is not described is an error is `Api`'s part.
"""

import json
import os
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from activate.ledger import Ledger
from activate.redemption import Outcome, Redemption
from export_all.keys import record_key
from local.emulator.faults import AnyFault, Delay, Drop, Page, Refuse
from local.emulator.settings import Settings
from local.stack import Options, Stack
from local.waiting import wait_until
from tests.description import COMPONENTS, OPERATIONS, PROBLEM, TYPE, examples, kinds
from tests.e2e.api import Api

pytestmark = pytest.mark.long

ACTIVATE, DEACTIVATE, LOOKUP, EXPORT, STATUS = (
    "POST /promocodes/activate",
    "POST /promocodes/deactivate",
    "POST /promocodes/get",
    "POST /promocodes/export_all",
    "GET /promocodes/exports/{export_id}",
)
WEBHOOK, WEBHOOK_BY_PUT = "POST /webhooks/{source}", "PUT /webhooks/{source}"
CHALLENGE = "GET /webhooks/{source}"

SOURCES = {
    "shop": {"platform": "tilda", "secrets": ["secret"], "loyalty_id": 5},
    "broken": {"platform": "tilda", "secrets": ["secret"], "loyalty_id": "five"},
}
NO_ID = "20261122T083000Z-00000000000000000000"


Send = Callable[[str, object], requests.Response]


@dataclass(frozen=True)
class Asked:
    """A request, and what Altcraft is set to before it.

    `held` brings about, by a mark of its code, that an order holds it. `before` sends another request first, and returns the
    path's variables.
    """

    body: object = None
    path: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    key: bool = True
    stack: str = "well"
    faults: Sequence[AnyFault] = ()
    settings: Settings = field(default_factory=Settings)
    held: Callable[[Stack, str], None] | None = None
    before: Callable[[Stack, Send], dict[str, str]] | None = None


def of_code(code: str, **more: object) -> dict[str, object]:
    """A request about a code in the state that its name says; `ask` makes it one that no other request has been about."""
    return {"code": code, "loyalty_id": 5, **more}


def redeemed(stack: Stack, code: str, loyalty_id: int = 5) -> Ledger:
    """Have the order 1 hold a code, which Altcraft knows, in a stack that may lack its token."""
    assert stack.emulator is not None
    stack.emulator.programs.add(loyalty_id, code, attached=True, activated=True)
    ledger = Ledger(stack.ready.redemptions_table, stack.aws.client("dynamodb"))
    ledger.redeem(ledger.claim(Redemption(code, loyalty_id, "1"), datetime.now(UTC)), ())
    return ledger


def good(stack: Stack, mark: str) -> None:
    """Have the order 1 hold the good code."""
    redeemed(stack, f"GOOD-{mark}")


def good_and_given_back(stack: Stack, mark: str) -> None:
    """Have the order 1 give the good code back."""
    ledger = redeemed(stack, f"GOOD-{mark}")
    claim = ledger.claim_return(Redemption(f"GOOD-{mark}", 5, "1"), datetime.now(UTC))
    ledger.close(claim, Outcome.DEACTIVATED, lost=False)


def good_and_deleted(stack: Stack, mark: str) -> None:
    """Have the order 1 hold the good code, which Altcraft does not know any more, while it knows another."""
    redeemed(stack, f"GOOD-{mark}")
    assert stack.emulator is not None
    stack.emulator.programs.clear()
    redeemed(stack, f"CONTROL-{mark}")


def only_code(stack: Stack, mark: str) -> None:
    """Have the order 1 hold the only known code of a program, which Altcraft does not know any more."""
    dynamodb = stack.aws.client("dynamodb")
    for item in dynamodb.scan(TableName=stack.ready.redemptions_table)["Items"]:
        if item["loyalty_id"] == {"N": "8"}:
            key = {name: item[name] for name in ("loyalty_id", "code")}
            dynamodb.delete_item(TableName=stack.ready.redemptions_table, Key=key)
    redeemed(stack, f"GOOD-{mark}", 8)
    assert stack.emulator is not None
    stack.emulator.programs.clear()


def being_given_back(stack: Stack, send: Send) -> dict[str, str]:
    """Have another request wait for Altcraft's answer."""
    return under_way(stack, send, "deactivate", "update")


def under_way(stack: Stack, send: Send, route: str = "activate", endpoint: str = "activate") -> dict[str, str]:
    """Have another request wait for Altcraft's answer."""
    altcraft = stack.emulator
    assert altcraft is not None
    calls = altcraft.journal.calls[endpoint]
    threading.Thread(target=send, args=(f"/promocodes/{route}", of_code("GOOD", order_id="1"))).start()
    wait_until(lambda: altcraft.journal.calls[endpoint] > calls)
    return {}


def another_is_known(_: Stack, send: Send) -> dict[str, str]:
    """Have the ledger know a code of the program."""
    assert send("/promocodes/activate", of_code("GOOD")).status_code == 200
    return {}


def exported(_: Stack, send: Send) -> dict[str, str]:
    """Begin an export."""
    answer: dict[str, str] = send("/promocodes/export_all", {"loyalty_id": 5}).json()
    return answer


def put(stack: Stack, key: str, body: bytes = b"see the shared folder") -> None:
    s3: Any = stack.aws.client("s3")
    s3.put_object(Bucket=stack.ready.export_bucket, Key=key, Body=body)


def written_by_hand(stack: Stack, _: Send) -> dict[str, str]:
    """Put something else into the place of a manifest."""
    put(stack, "exports/by-hand.json")
    return {"export_id": "by-hand"}


def key_used(_: Stack, send: Send) -> dict[str, str]:
    """Have the request's key be that of another one."""
    assert send("/promocodes/export_all", {"loyalty_id": 6}).status_code == 202
    return {}


def record_by_hand(stack: Stack, _: Send) -> dict[str, str]:
    """Put something else into the place of a key's record."""
    put(stack, record_key("", "k-record"))
    return {}


def key_of_by_hand(stack: Stack, send: Send) -> dict[str, str]:
    """Have a key lead to an export in the place of whose manifest there is something else."""
    record = {"idempotency_key": "k-manifest", "export_id": "by-hand", "loyalty_id": 5}
    put(stack, record_key("", "k-manifest"), json.dumps(record).encode())
    return written_by_hand(stack, send)


XML = {"Content-Type": "application/xml"}
DOWN = [Page(calls=None, status=503)]
UPDATE = frozenset({"update"})

GIVEN: dict[tuple[str, int, str], Asked] = {
    (ACTIVATE, 200, ""): Asked(of_code("GOOD")),
    (ACTIVATE, 400, "invalid_field"): Asked({"code": "GOOD-1"}),
    (ACTIVATE, 400, "malformed_body"): Asked("<xml>", headers=XML),
    (ACTIVATE, 403, "api_key_required"): Asked(of_code("GOOD"), key=False),
    (ACTIVATE, 404, "not_found"): Asked(of_code("nobody's"), before=another_is_known),
    (ACTIVATE, 409, "already_activated"): Asked(of_code("USED")),
    (ACTIVATE, 410, "expired"): Asked(of_code("OLD")),
    (ACTIVATE, 413, "too_large"): Asked("x" * 5_000_000),
    (ACTIVATE, 415, "unsupported_media_type"): Asked("code=GOOD-1", headers={"Content-Type": "text/plain"}),
    (ACTIVATE, 422, "not_attached"): Asked(of_code("FREE")),
    (ACTIVATE, 503, "refused"): Asked(
        of_code("GOOD"), faults=[Refuse(endpoints=frozenset({"activate"}), error=777, error_text="no")]
    ),
    (ACTIVATE, 503, "altcraft_failing"): Asked(of_code("GOOD"), faults=[Refuse(calls=None, error=402, error_text="")]),
    (ACTIVATE, 503, "unconfirmed"): Asked(of_code("nobody's", loyalty_id=7)),
    (ACTIVATE, 503, "altcraft_unreachable"): Asked(of_code("GOOD"), faults=DOWN),
    (ACTIVATE, 503, "altcraft_incoherent"): Asked(of_code("GOOD"), faults=[Page(calls=None, status=200)]),
    (ACTIVATE, 503, "unsettled"): Asked(of_code("GOOD"), faults=[Drop(endpoints=frozenset({"activate"}))]),
    (ACTIVATE, 503, "token_refused"): Asked(of_code("GOOD"), settings=Settings(tokens=frozenset({"another"}))),
    (ACTIVATE, 503, "in_progress"): Asked(
        of_code("GOOD", order_id="1"), faults=[Delay(seconds=6, endpoints=frozenset({"activate"}))], before=under_way
    ),
    (ACTIVATE, 503, "token_unreadable"): Asked(of_code("GOOD"), stack="tokenless"),
    (ACTIVATE, 503, "table_unavailable"): Asked(of_code("GOOD", order_id="1"), stack="poor"),
    (ACTIVATE, 503, "not_configured"): Asked(of_code("GOOD"), stack="unset"),
    (ACTIVATE, 409, "released_by_order"): Asked(of_code("GOOD", order_id="1"), held=good_and_given_back),
    (DEACTIVATE, 200, ""): Asked(of_code("GOOD", order_id="1"), held=good),
    (DEACTIVATE, 400, "invalid_field"): Asked(of_code("GOOD")),
    (DEACTIVATE, 400, "malformed_body"): Asked("<xml>", headers=XML),
    (DEACTIVATE, 403, "api_key_required"): Asked(of_code("GOOD", order_id="1"), key=False),
    (DEACTIVATE, 404, "not_found"): Asked(of_code("GOOD", order_id="1"), held=good_and_deleted),
    (DEACTIVATE, 409, "not_held_by_order"): Asked(of_code("GOOD", order_id="2"), held=good),
    (DEACTIVATE, 413, "too_large"): Asked("x" * 5_000_000),
    (DEACTIVATE, 415, "unsupported_media_type"): Asked("code=GOOD-1", headers={"Content-Type": "text/plain"}),
    **{
        (DEACTIVATE, 503, reason): replace(asked, body=of_code("GOOD", order_id="1"), held=good)
        for reason, asked in {
            "refused": Asked(faults=[Refuse(endpoints=UPDATE, error=777, error_text="no")]),
            "altcraft_failing": Asked(faults=[Refuse(calls=None, error=402, error_text="")]),
            "altcraft_unreachable": Asked(faults=DOWN),
            "altcraft_incoherent": Asked(faults=[Page(calls=None, status=200)]),
            "unsettled": Asked(faults=[Drop(endpoints=UPDATE)]),
            "token_refused": Asked(settings=Settings(tokens=frozenset({"another"}))),
            "in_progress": Asked(faults=[Delay(seconds=6, endpoints=UPDATE)], before=being_given_back),
            "token_unreadable": Asked(stack="tokenless"),
        }.items()
    },
    (DEACTIVATE, 503, "unconfirmed"): Asked(of_code("GOOD", order_id="1") | {"loyalty_id": 8}, held=only_code),
    (DEACTIVATE, 503, "table_unavailable"): Asked(of_code("GOOD", order_id="1"), stack="poor"),
    (DEACTIVATE, 503, "not_configured"): Asked(of_code("GOOD", order_id="1"), stack="unset"),
    (LOOKUP, 200, ""): Asked(of_code("GOOD")),
    (LOOKUP, 400, "invalid_field"): Asked(of_code("GOOD", order_id="1")),
    (LOOKUP, 400, "malformed_body"): Asked("<xml>", headers=XML),
    (LOOKUP, 403, "api_key_required"): Asked(of_code("GOOD"), key=False),
    (LOOKUP, 404, "not_found"): Asked(of_code("nobody's"), before=another_is_known),
    (LOOKUP, 413, "too_large"): Asked("x" * 5_000_000),
    (LOOKUP, 415, "unsupported_media_type"): Asked("code=GOOD-1", headers={"Content-Type": "text/plain"}),
    (LOOKUP, 503, "altcraft_failing"): Asked(of_code("GOOD"), faults=[Refuse(calls=None, error=402, error_text="")]),
    (LOOKUP, 503, "unconfirmed"): Asked(of_code("nobody's", loyalty_id=7)),
    (LOOKUP, 503, "altcraft_unreachable"): Asked(of_code("GOOD"), faults=DOWN),
    (LOOKUP, 503, "altcraft_incoherent"): Asked(of_code("GOOD"), faults=[Page(calls=None, status=200)]),
    (LOOKUP, 503, "table_unavailable"): Asked(of_code("GOOD"), stack="poor"),
    (LOOKUP, 503, "token_refused"): Asked(of_code("GOOD"), settings=Settings(tokens=frozenset({"another"}))),
    (LOOKUP, 503, "token_unreadable"): Asked(of_code("GOOD"), stack="tokenless"),
    (LOOKUP, 503, "not_configured"): Asked(of_code("GOOD"), stack="unset"),
    (EXPORT, 202, ""): Asked({"loyalty_id": 5, "accept_fewer": True}),
    (EXPORT, 400, "invalid_field"): Asked({"loyalty_id": "five"}),
    (EXPORT, 400, "malformed_body"): Asked("[]"),
    (EXPORT, 403, "api_key_required"): Asked({"loyalty_id": 5}, key=False),
    (EXPORT, 413, "too_large"): Asked("x" * 5_000_000),
    (EXPORT, 415, "unsupported_media_type"): Asked("loyalty_id=5", headers={"Content-Type": "text/plain"}),
    (EXPORT, 422, "key_reused"): Asked({"loyalty_id": 5}, headers={"Idempotency-Key": "k-used"}, before=key_used),
    (EXPORT, 500, "unreadable_record"): Asked(
        {"loyalty_id": 5}, headers={"Idempotency-Key": "k-record"}, before=record_by_hand
    ),
    (EXPORT, 500, "unreadable_manifest"): Asked(
        {"loyalty_id": 5}, headers={"Idempotency-Key": "k-manifest"}, before=key_of_by_hand
    ),
    (EXPORT, 503, "storage_unavailable"): Asked({"loyalty_id": 5}, stack="poor"),
    (EXPORT, 503, "not_configured"): Asked({"loyalty_id": 5}, stack="unset"),
    (STATUS, 200, ""): Asked(before=exported),
    (STATUS, 400, "invalid_field"): Asked(path={"export_id": "-"}),
    (STATUS, 403, "api_key_required"): Asked(path={"export_id": NO_ID}, key=False),
    (STATUS, 404, "export_not_found"): Asked(path={"export_id": NO_ID}),
    (STATUS, 500, "unreadable_manifest"): Asked(before=written_by_hand),
    (STATUS, 503, "storage_unavailable"): Asked(path={"export_id": NO_ID}, stack="poor"),
    (STATUS, 503, "not_configured"): Asked(path={"export_id": NO_ID}, stack="unset"),
    **{
        (webhook, status, kind): asked
        for webhook in (WEBHOOK, WEBHOOK_BY_PUT)
        for (status, kind), asked in {
            (200, ""): Asked("test=test", path={"source": "shop"}),
            (401, "bad_signature"): Asked("{}", path={"source": "shop"}),
            (404, "unknown_source"): Asked("{}", path={"source": "nobody"}),
            (413, "too_large"): Asked("x" * 5_000_000, path={"source": "shop"}),
            (503, "not_accepted"): Asked("{}", path={"source": "broken"}),
            (503, "not_configured"): Asked("{}", path={"source": "shop"}, stack="unset"),
        }.items()
    },
    (CHALLENGE, 200, ""): Asked(path={"source": "shop"}, query={"challenge": "8ec8d794"}),
    (CHALLENGE, 404, "unknown_source"): Asked(path={"source": "nobody"}, query={"challenge": "8ec8d794"}),
    (CHALLENGE, 405, "post_only"): Asked(path={"source": "shop"}),
    (CHALLENGE, 503, "not_accepted"): Asked(path={"source": "broken"}, query={"challenge": "8ec8d794"}),
    (CHALLENGE, 503, "not_configured"): Asked(path={"source": "shop"}, query={"challenge": "8ec8d794"}, stack="unset"),
}

NOT_GIVEN = {
    "internal_error": "a defect of ours, and none is known",
    "format_unavailable": "the tests' environment has what Parquet needs",
    "throttled": "nothing throttles on a laptop; API Gateway answers with the template's words, as for the three below",
    "filtered": "there is no firewall on a laptop",
    "timeout": "it comes after 29 seconds",
    "unavailable": "no function dies here",
}


def described() -> Iterator[tuple[str, int, str]]:
    """Every route with each status and each problem; "" is a success."""
    for operation in OPERATIONS:
        for status, response in operation.responses.items():
            for kind in kinds(response) or {""}:
                yield operation.route, status, kind


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Stack]]:
    """A stack that is well, and three that lack a token; a table and a bucket; the address of Altcraft."""
    log = os.open(tmp_path_factory.mktemp("openapi") / "functions.log", os.O_CREAT | os.O_WRONLY)
    well = Options(sources=json.dumps(SOURCES), log=log)
    options = {
        "well": well,
        "poor": well,
        "tokenless": replace(well, altcraft_token='{"no": "token"}'),
        "unset": replace(well, parameters={"AltcraftUrl": ""}),
    }
    with ExitStack() as running:
        started = {name: running.enter_context(Stack(one)) for name, one in options.items()}
        poor = started["poor"]
        poor.aws.client("dynamodb").delete_table(TableName=poor.ready.redemptions_table)
        poor.aws.client("s3").delete_bucket(Bucket=poor.ready.export_bucket)
        yield started
    os.close(log)


def ask(stack: Stack, route: str, asked: Asked, accept: str) -> requests.Response:
    altcraft = stack.emulator
    assert altcraft is not None
    altcraft.faults.set([])
    altcraft.settings = Settings()
    altcraft.programs.clear()
    mark = uuid.uuid4().hex
    altcraft.programs.add(5, f"GOOD-{mark}", attached=True)
    altcraft.programs.add(5, f"USED-{mark}", attached=True, activated=True)
    altcraft.programs.add(5, f"OLD-{mark}", attached=True, expire_date=datetime(2024, 12, 31, tzinfo=UTC))
    altcraft.programs.add(5, f"FREE-{mark}")
    if asked.held:
        asked.held(stack, mark)
    altcraft.settings = asked.settings
    altcraft.faults.set(asked.faults)
    api = Api(stack.ready.api_url, stack.ready.api_key)
    headers = {"Content-Type": "application/json"} | ({"x-api-key": api.key} if asked.key else {})

    def written(body: object) -> str | None:
        if isinstance(body, dict) and "code" in body:
            body = body | {"code": f"{body['code']}-{mark}"}
        return body if isinstance(body, str | None) else json.dumps(body)

    def send(path: str, body: object) -> requests.Response:
        return api.send("POST", path, written(body), headers | asked.headers)

    variables = asked.path | (asked.before(stack, send) if asked.before else {})
    method, path = route.split(" ")
    return api.send(
        method,
        path.format_map(variables),
        written(asked.body),
        headers | {"Accept": accept} | asked.headers,
        asked.query,
    )


def test_every_described_answer_is_tried_or_excused() -> None:
    assert {one for one in described() if one[2] not in NOT_GIVEN} == set(GIVEN)
    assert NOT_GIVEN.keys() <= {kind for _, _, kind in described()}


@pytest.mark.parametrize("accept", ["application/json", "application/xml"])
@pytest.mark.parametrize(("route", "status", "kind"), GIVEN, ids=lambda value: str(value))
def test_a_described_answer_is_given(stacks: dict[str, Stack], route: str, status: int, kind: str, accept: str) -> None:
    asked = GIVEN[route, status, kind]
    response = ask(stacks[asked.stack], route, asked, accept)
    assert response.status_code == status, response.text
    (operation,) = [one for one in OPERATIONS if one.route == route]
    media_type = response.headers["Content-Type"].partition(";")[0]
    # API Gateway's own answers, and a challenge's echo, have one format.
    formats = operation.responses[status]["content"].keys()
    assert media_type.endswith(accept.rpartition("/")[2]) or len(formats) == 1
    assert f"{TYPE}{kind}" in response.text or not kind
    if media_type == PROBLEM:
        problem = response.json()
        for example in examples(operation.responses[status]["content"][PROBLEM]):
            if example["type"] == problem["type"]:
                assert (example["title"], example["retryable"]) == (problem["title"], problem["retryable"])


@pytest.mark.parametrize(("method", "path"), [("GET", "/promocodes"), ("DELETE", "/promocodes/activate")])
def test_a_route_that_is_not_described_is_none(stacks: dict[str, Stack], method: str, path: str) -> None:
    ready = stacks["well"].ready
    response = Api(ready.api_url, ready.api_key).send(method, path, headers={"x-api-key": ready.api_key})
    assert (response.status_code, response.json()["type"]) == (404, f"{TYPE}no_such_route")


def test_the_described_formats_of_an_export_are_those_that_there_are(stacks: dict[str, Stack]) -> None:
    described = COMPONENTS["schemas"]["ExportRequest"]["properties"]["output_format"]["enum"]
    wrong = Asked({"loyalty_id": 5, "output_format": "xlsx"})
    refusal = ask(stacks["well"], EXPORT, wrong, "application/json").json()["detail"]
    assert refusal.rpartition(" one of ")[2].split(", ") == [name for name in described if name]
