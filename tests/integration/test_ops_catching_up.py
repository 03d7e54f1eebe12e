"""`make activate` and `make backfill`, against an API that answers as a test says; tests/e2e has them with a stack."""

import csv
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from activate.sources import parse
from docs.generate.sample_events import SOURCES
from lambda_support import http
from local.emulator.http import HangUp, Request, Response, Server
from local.waiting import wait_until
from ops.catching_up import AT_ONCE
from ops.commands import main
from ops.signing import SAMPLES

HEADER = "code,loyalty_id,order_id\n"
NOWHERE = "http://127.0.0.1:9"


def problem(status: int, kind: str, **members: object) -> Response:
    body = {"type": f"urn:altcraft-promocodes:problem:{kind}", "detail": f"Why {kind}.", **members}
    return Response(status, json.dumps(body).encode(), [("Content-Type", "application/problem+json")])


def outcome(code: str, outcome: str = "activated") -> Response:
    if outcome == "activated":
        return Response(200, json.dumps({"code": code, "loyalty_id": 5, "outcome": outcome}).encode())
    return problem(409, outcome, code=code, outcome=outcome)


@dataclass
class Api:
    """The API of a stack. It remembers what it was sent, and activates every code unless `answer` says otherwise."""

    url: str = ""
    answer: Callable[[str], Response | None] = lambda _: None
    requests: list[Request] = field(default_factory=list)
    at: list[float] = field(default_factory=list)

    def __call__(self, request: Request) -> Response:
        self.at.append(time.monotonic())
        self.requests.append(request)
        body = json.loads(request.body)
        return self.answer(body["code"]) or outcome(body["code"])

    @property
    def codes(self) -> list[str]:
        """The codes of the requests so far, in their order; forgotten after that."""
        codes = [json.loads(request.body)["code"] for request in self.requests]
        self.requests.clear()
        return codes


@pytest.fixture
def api() -> Iterator[Api]:
    api = Api()
    with Server(api) as server:
        api.url = server.url
        yield api


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """A command that runs in this process changes its signal handlers, as it ends with it."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "codes.csv"


def of(api: Api | None, **variables: str) -> dict[str, str]:
    """The variables of a command that sends to this API as fast as it can, each item once."""
    return {"LOCAL": api.url if api else NOWHERE, "API_KEY": "the-key", "RATE": "1000", "PATIENCE": "0"} | variables


def activate(api: Api | None, file: Path, **variables: str) -> Result:
    return CliRunner().invoke(main, ["activate"], env=of(api, FILE=str(file), **variables))


def rows(file: Path, *columns: str) -> list[tuple[str, ...]]:
    """These columns of a file's result file."""
    with file.with_name(f"{file.stem}.result.csv").open(newline="") as result:
        return [tuple(row[name] for name in columns) for row in csv.DictReader(result)]


def outcomes(file: Path) -> dict[str, str]:
    """The outcome of each code that is in the result file, which has each once."""
    found = rows(file, "code", "outcome")
    assert len(dict(found)) == len(found)  # type: ignore[arg-type]
    return dict(found)  # type: ignore[arg-type]


def written(file: Path, *codes: str) -> list[str]:
    file.write_text(HEADER + "".join(f"{code},5,order-{code}\n" for code in codes))
    return list(codes)


def many(file: Path, count: int) -> list[str]:
    return written(file, *(f"C-{number}" for number in range(count)))


# --- a file of codes ----------------------------------------------------------------------------------------------------


def test_given_a_file_of_codes_then_each_is_activated_for_its_order(api: Api, file: Path) -> None:
    file.write_text(HEADER + 'A-1,5,eu-shop/1001\n\n"B,2", 07 ,"1002"\n')

    done = activate(api, file)

    assert (done.exit_code, done.stdout) == (0, f"2 activated; see {file.parent / 'codes.result.csv'}\n")
    assert [(request.path, request.headers["x-api-key"]) for request in api.requests] == [
        ("/promocodes/activate", "the-key")
    ] * 2
    bodies = sorted((json.loads(request.body) for request in api.requests), key=lambda body: str(body["code"]))
    assert bodies == [
        {"code": "A-1", "loyalty_id": 5, "order_id": "eu-shop/1001"},
        {"code": "B,2", "loyalty_id": 7, "order_id": "1002"},
    ]
    assert sorted(rows(file, "line", "code", "loyalty_id", "order_id", "outcome", "detail")) == [
        ("2", "A-1", "5", "eu-shop/1001", "activated", ""),
        ("4", "B,2", "7", "1002", "activated", ""),
    ]


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfcode,loyalty_id,order_id\r\nA-1,5,1001\r\n",
        b"code;loyalty_id;order_id\r\nA-1;5;1001\r\n",
        b"code,loyalty_id,order_id\nA-1,5,1001",
        b'"code","loyalty_id","order_id"\n"A-1","5","1001"\n',
    ],
)
def test_given_the_csv_of_a_spreadsheet_then_it_is_read(api: Api, file: Path, content: bytes) -> None:
    file.write_bytes(content)
    assert activate(api, file).exit_code == 0
    assert rows(file, "code", "loyalty_id", "order_id") == [("A-1", "5", "1001")]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["line 1", "code,loyalty_id,order_id"]),
        (b"code,program,order\nA-1,5,1001\n", ["line 1", "code,loyalty_id,order_id"]),
        ("code,loyalty_id,order_id\n".encode("utf-16"), ["line 1", "UTF-8"]),
        (HEADER.encode(), ["nothing to send"]),
        (b"A-1,5,1001\nA-2,5\n", ["line 3", "2 cells instead of 3"]),
        (b"A-1,5,1001\nA-2,5,1002,yes\n", ["line 3", "4 cells instead of 3"]),
        (b"A-1,5,1001\nA-2,5,\n", ["line 3", "order_id", "name the order"]),
        (b"A-1,five,1001\n", ["line 2", "loyalty_id", "whole number"]),
        (b",5,1001\n", ["line 2", "code: is required"]),
        (b"A\x07B,5,1001\n", ["line 2", "code", "control"]),
        (b"A" * 256 + b",5,1001\n", ["line 2", "code", "255"]),
        ("КУПОН,5,1001\n".encode("cp1251"), ["line 2", "UTF-8"]),
        (b"A-1,5,1001\nA-2,5,1002\nA-1,5,1003\n", ["line 4", "line 2", "leave only the order that used it"]),
        (b"A-1,5,1001\nA-1,5,1001\n", ["line 3", "line 2"]),
        (b'A-1,5,"1001\nA-2,5,1002\n', ["line 2", "CSV"]),
        (b'A-1,5,1001\n"' + b"x" * 200_000, ["line 3", "CSV"]),
    ],
)
def test_given_a_file_with_a_fault_then_its_line_is_named_and_nothing_is_sent(
    api: Api, file: Path, content: bytes, words: list[str]
) -> None:
    file.write_bytes(content if b"code" in content or not content or b"c\0o" in content else HEADER.encode() + content)

    refused = activate(api, file)

    assert (refused.exit_code, refused.stdout, api.requests) == (2, "", [])
    for word in words:
        assert word in refused.stderr
    assert not file.with_name("codes.result.csv").exists()


def test_given_many_faults_then_the_first_are_named_and_the_others_counted(file: Path) -> None:
    file.write_text(HEADER + "A-1,5\n" * 30)
    refused = activate(None, file)
    assert refused.stderr.count("cells instead of 3") == 20
    assert refused.stderr.splitlines()[-2:] == ["10 more lines have faults.", "Nothing was sent."]


def test_given_one_code_of_two_programs_then_both_are_activated(api: Api, file: Path) -> None:
    file.write_text(HEADER + "A-1,5,1001\nA-1,6,1002\n")
    assert activate(api, file).exit_code == 0


# --- outcomes, and runs after one another -----------------------------------------------------------------------------------


def test_given_a_second_run_then_only_what_has_no_outcome_is_sent(api: Api, file: Path) -> None:
    written(file, "good", "used", "late", "lost")
    known = {
        "used": outcome("used", "already_activated"),
        "late": problem(503, "unconfirmed", reason="unconfirmed"),
    }

    def answer(code: str) -> Response | None:
        if code == "lost":
            raise HangUp
        return known.get(code)

    api.answer = answer
    first = activate(api, file)

    assert first.exit_code == 1
    assert sorted(first.stdout.splitlines()[:-1]) == [
        "line 3: already_activated",
        "line 4: retry (unconfirmed)",
        "line 5: retry (no_answer)",
    ]
    assert sorted(rows(file, "code", "outcome", "detail")) == [
        ("good", "activated", ""),
        ("late", "retry", "unconfirmed"),
        ("lost", "retry", "no_answer"),
        ("used", "already_activated", ""),
    ]
    assert "run it again" in first.stderr
    assert sorted(api.codes) == ["good", "late", "lost", "used"]

    api.answer = lambda _: None
    second = activate(api, file)

    assert second.exit_code == 1  # a code is used by another order
    assert second.stdout.splitlines()[-1].startswith("3 activated, 1 already_activated;")
    assert sorted(api.codes) == ["late", "lost"]
    assert outcomes(file) == {
        "good": "activated",
        "used": "already_activated",
        "late": "activated",
        "lost": "activated",
    }


def test_given_answers_without_an_outcome_then_they_are_asked_for_again_when_they_say_so(api: Api, file: Path) -> None:
    written(file, "busy", "down", "page", "good")
    down = problem(503, "altcraft_unreachable")
    first = {
        "busy": problem(429, "throttled"),
        "down": Response(503, down.body, [*down.headers, ("Retry-After", "2")]),
        "page": Response(200, b"<html>"),
    }
    api.answer = lambda code: first.pop(code, None)

    done = activate(api, file, PATIENCE="60")

    assert done.exit_code == 0
    assert api.at[-1] - api.at[0] >= 2.0
    assert Counter(api.codes) == {"busy": 2, "down": 2, "page": 2, "good": 1}
    assert set(outcomes(file).values()) == {"activated"}


def test_given_a_wait_longer_than_the_patience_then_the_run_ends_at_once(api: Api, file: Path) -> None:
    written(file, "late")
    api.answer = lambda _: Response(503, b"{}", [("Retry-After", "86400")])

    done = activate(api, file, PATIENCE="60")

    assert (done.exit_code, api.codes, outcomes(file)) == (1, ["late"], {"late": "retry"})
    assert rows(file, "detail") == [("http_503",)]


def test_given_altcraft_is_down_then_the_run_ends_and_the_next_begins_with_what_was_not_sent(
    api: Api, file: Path
) -> None:
    codes = many(file, 100)
    api.answer = lambda _: problem(503, "altcraft_unreachable")
    assert activate(api, file).exit_code == 1
    tried = api.codes
    assert AT_ONCE <= len(tried) < 3 * AT_ONCE

    api.answer = lambda _: None
    assert activate(api, file, PATIENCE="60").exit_code == 0

    again = api.codes
    assert sorted(again) == sorted(codes)
    assert set(again[-len(tried) :]) == set(tried)


def test_given_codes_of_which_nothing_is_known_yet_then_the_others_are_not_held_up(api: Api, file: Path) -> None:
    codes = many(file, 100)
    api.answer = lambda code: problem(503, "unconfirmed") if code in codes[:50] else None
    assert activate(api, file).exit_code == 1
    assert Counter(outcomes(file).values()) == {"retry": 50, "activated": 50}


@pytest.mark.parametrize(
    ("status", "kind"), [(403, "forbidden"), (404, "no_such_route"), (400, "invalid_field"), (301, "")]
)
def test_given_a_refusal_of_every_request_then_the_run_ends_and_says_so(
    api: Api, file: Path, status: int, kind: str
) -> None:
    many(file, 100)
    api.answer = lambda _: problem(status, kind) if kind else Response(status, b"", [("Location", "https://a.example")])

    done = activate(api, file)

    assert done.exit_code == 1
    assert (
        f"{api.url}/promocodes/activate answered {status} {f'{kind}: Why {kind}.' if kind else 'http_301'}"
        in done.stderr
    )
    assert "100 not sent" in done.stdout
    assert len(api.requests) <= AT_ONCE


def test_given_a_rate_then_no_more_is_sent_in_a_second(api: Api, file: Path) -> None:
    many(file, 11)
    assert activate(api, file, RATE="50").exit_code == 0
    assert max(api.at) - min(api.at) >= 0.2 * 0.9


def test_given_a_dry_run_then_the_file_is_checked_and_nothing_is_sent(api: Api, file: Path) -> None:
    many(file, 3)
    assert (activate(None, file, DRY_RUN="1").stdout, file.with_name("codes.result.csv").exists()) == (
        "3 not sent\n",
        False,
    )
    assert activate(api, file).exit_code == 0
    written(file, "C-1", "C-2", "new")
    assert activate(None, file, DRY_RUN="1").stdout == "2 activated, 1 not sent\n"
    file.write_text("nonsense")
    assert activate(None, file, DRY_RUN="1").exit_code == 2


def test_given_a_file_that_has_changed_then_it_is_noticed_and_only_new_rows_are_sent(api: Api, file: Path) -> None:
    written(file, "A", "B", "C")
    assert activate(api, file).exit_code == 0
    assert sorted(api.codes) == ["A", "B", "C"]
    # Given a row fewer, a row with another order, and a row that has moved
    file.write_text(HEADER + "C,5,order-C\nB,5,another\n")

    done = activate(api, file)

    assert (done.exit_code, api.codes) == (0, ["B"])
    assert f"{file} has changed" in done.stderr
    assert "2 rows" in done.stderr
    assert ("A", "order-A", "activated") in rows(file, "code", "order_id", "outcome")


def test_given_a_result_file_that_was_cut_then_its_whole_rows_count(api: Api, file: Path) -> None:
    many(file, 3)
    assert activate(api, file).exit_code == 0
    result = file.with_name("codes.result.csv")
    lines = result.read_bytes().splitlines(keepends=True)
    assert len(api.codes) == 3
    for cut, sent in ((b"".join(lines)[:-4], 1), (lines[0][:-1], 3), (b"", 3)):
        result.write_bytes(cut)
        assert activate(api, file).exit_code == 0
        assert len(api.codes) == sent
        assert len(outcomes(file)) == 3


@pytest.mark.parametrize("content", [b"a,b\n1,2\n", b"\xff\xfe\n", b'"\n'])
def test_given_another_file_in_place_of_the_result_file_then_it_is_left_as_it_is(
    api: Api, file: Path, content: bytes
) -> None:
    many(file, 1)
    other = file.with_name("codes.result.csv")
    other.write_bytes(content)
    refused = activate(api, file)
    assert (refused.exit_code, api.requests, other.read_bytes()) == (2, [], content)
    assert f"{other}: is no result file" in refused.stderr


def test_given_a_result_file_that_cannot_be_written_then_nothing_is_sent(api: Api, file: Path) -> None:
    many(file, 1)
    file.with_name("codes.result.csv").mkdir()
    refused = activate(api, file)
    assert (refused.exit_code, api.requests) == (1, [])
    assert "codes.result.csv: Is a directory" in refused.stderr


def test_given_another_run_of_the_file_then_it_is_refused(api: Api, file: Path) -> None:
    many(file, 1)
    with file.with_name("codes.result.csv").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        refused = activate(api, file)
    assert (refused.exit_code, api.requests) == (1, [])
    assert "another run" in refused.stderr


def test_given_no_file_then_it_is_asked_for() -> None:
    for missing in (CliRunner().invoke(main, ["activate"]), activate(None, Path("nowhere.csv"))):
        assert missing.exit_code == 2
        assert "--file" in missing.stderr


# --- runs that are ended ----------------------------------------------------------------------------------------------------

COMMAND = [sys.executable, "-m", "ops", "activate"]


def start(api: Api, file: Path, *before: str, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*before, *COMMAND],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | of(api, FILE=str(file), **variables),
    )


def known(file: Path) -> int:
    """How many whole rows a result file has."""
    result = file.with_name(f"{file.stem}.result.csv")
    return max(result.read_bytes().count(b"\n") - 1, 0) if result.exists() else 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_given_a_run_that_is_ended_in_the_middle_then_the_next_sends_the_rest(
    api: Api, file: Path, number: signal.Signals
) -> None:
    codes = many(file, 200)
    with start(api, file, RATE="100") as process:
        wait_until(lambda: known(file) >= 20)
        process.send_signal(number)
        _, said = process.communicate(timeout=30)

    if number == signal.SIGKILL:
        assert process.returncode == -number
    else:
        assert process.returncode == 128 + number
        assert [line for line in said.splitlines() if "codes/s" not in line] == ["Stopped; run it again to go on."]
        # Then whatever was sent has its row
        assert len(api.requests) == known(file)
    recorded, before = set(outcomes(file)), api.codes
    assert 20 <= len(recorded) < 200

    assert activate(api, file).exit_code == 0
    sent = Counter([*before, *api.codes])
    assert sent.keys() == set(codes)
    # Nothing that has a row is sent again; at most what was under way is
    assert {sent[code] for code in recorded} == {1}
    assert sent.total() <= 200 + AT_ONCE
    assert set(outcomes(file)) == set(codes)


def test_given_a_disk_that_is_full_then_it_is_one_line_and_the_next_run_goes_on(api: Api, file: Path) -> None:
    codes = many(file, 100)
    with start(api, file, "bash", "-c", 'ulimit -f 1; exec "$@"', "bash") as process:
        out, said = process.communicate(timeout=30)

    assert (process.returncode, out) == (1, "")
    (line,) = [line for line in said.splitlines() if "codes/s" not in line]
    assert "codes.result.csv: File too large; the next run" in line

    assert 0 < known(file) < 100
    assert activate(api, file).exit_code == 0
    assert set(outcomes(file)) == set(codes)


# --- deliveries ------------------------------------------------------------------------------------------------------------

DOCUMENT = parse(SOURCES.read_text())
PLATFORMS = {name: one["platform"] for name, one in json.loads(SOURCES.read_text()).items()}


class Intake:
    """The webhook of a source, which takes authentic deliveries."""

    def __init__(self, name: str) -> None:
        self.source = DOCUMENT.sources[name]
        self.bodies: list[bytes] = []
        self.ids: list[str] = []
        self.url = ""
        self.answer: Callable[[bytes], Response | None] = lambda _: None

    def __call__(self, request: Request) -> Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        received = http.Request("POST", "/webhooks/{source}", {}, headers, request.query, request.body)
        assert request.path == f"/webhooks/{self.source.name}"
        self.bodies.append(request.body)
        self.ids.append(headers.get("webhook-id", ""))
        if not self.source.auth.verifies(received, self.source.keys, time.time()):
            return problem(401, "bad_signature")
        return self.answer(request.body) or Response(200, b'{"accepted": 1}')


@pytest.fixture
def intake(request: pytest.FixtureRequest) -> Iterator[Intake]:
    intake = Intake(getattr(request, "param", "eu-shop"))
    with Server(intake) as server:
        intake.url = server.url
        yield intake


def backfill(intake: Intake | None, file: Path, source: str = "eu-shop", **variables: str) -> Result:
    known = {"LOCAL": intake.url if intake else NOWHERE, "SOURCES": str(SOURCES), "SOURCE": source, "FILE": str(file)}
    return CliRunner().invoke(main, ["backfill"], env=known | {"RATE": "1000", "PATIENCE": "0"} | variables)


def order(number: int, **changed: Any) -> str:
    code = {"type": "discount_code", "code": f"C-{number}"}
    return json.dumps({"id": number, "financial_status": "paid", "discount_applications": [code], **changed})


@pytest.fixture
def orders(tmp_path: Path) -> Path:
    file = tmp_path / "orders.jsonl"
    file.write_text(f"{order(1)}\n\n  {order(2)}\r\n{order(3)}")
    return file


def test_given_orders_then_each_is_delivered_and_its_answer_printed(intake: Intake, orders: Path) -> None:
    done = backfill(intake, orders)

    assert done.exit_code == 0
    assert sorted(intake.bodies) == [order(number).encode() for number in (1, 2, 3)]
    *lines, last = done.stdout.splitlines()
    assert sorted(lines) == ["line 1: accepted 1", "line 3: accepted 1", "line 4: accepted 1"]
    assert last == f"3 accepted 1; see {orders.with_name('orders.result.csv')}"
    assert sorted(rows(orders, "line", "outcome", "detail")) == [(line, "accepted", "1") for line in ("1", "3", "4")]
    # When it is run again, then nothing is sent
    assert backfill(intake, orders).exit_code == 0
    assert len(intake.bodies) == 3


@pytest.mark.parametrize("intake", ["stripe", "bitrix", "shopware", "custom"], indirect=True)
def test_given_each_scheme_then_a_delivery_is_signed_as_it_is_sent(intake: Intake, orders: Path) -> None:
    down = [problem(503, "not_accepted")]
    intake.answer = lambda _: down.pop() if down else None
    sample = json.loads((SAMPLES / f"{PLATFORMS[intake.source.name]}.json").read_text())
    orders.write_text("\n".join(json.dumps(sample | {"line": line}) for line in range(3)))

    assert backfill(intake, orders, intake.source.name).exit_code == 1
    assert backfill(intake, orders, intake.source.name).exit_code == 0
    assert len(intake.bodies) == 4
    # The delivery that was sent again has the id that it had
    assert len(set(zip(intake.bodies, intake.ids, strict=True))) == 3


@pytest.mark.parametrize("intake", ["tilda"], indirect=True)
def test_given_lines_of_a_form_then_each_has_the_token_in_it(intake: Intake, orders: Path) -> None:
    forms = orders.with_name("orders.form")
    forms.write_text("payment[orderid]=1&payment[promocode]=%D0%BF\npayment[orderid]=2\n")
    assert backfill(intake, forms, "tilda").exit_code == 0
    assert len(intake.bodies) == 2


def test_given_refused_deliveries_then_each_line_says_why(intake: Intake, orders: Path) -> None:
    bodies = {order(1).encode(): problem(413, "too_large"), order(2).encode(): problem(503, "not_accepted")}
    intake.answer = bodies.get

    done = backfill(intake, orders)

    assert done.exit_code == 1
    assert sorted(rows(orders, "line", "outcome", "detail")) == [
        ("1", "too_large", ""),
        ("3", "retry", "not_accepted"),
        ("4", "accepted", "1"),
    ]
    # When the webhook takes it, then only the line without an outcome is sent
    intake.bodies.clear()
    intake.answer = lambda _: None
    backfill(intake, orders)
    assert intake.bodies == [order(2).encode()]


def test_given_orders_that_the_source_does_not_understand_then_the_setting_is_named_though_they_were_taken(
    intake: Intake, orders: Path
) -> None:
    lines = [order(1), '{"other": "shop"}', f"[{order(4)}, {order(5, id=None)}]", order(6, financial_status="pending")]
    orders.write_text("\n".join(lines))
    intake.answer = lambda body: None if b"C-" in body else Response(200, b'{"accepted": 0}')

    done = backfill(intake, orders)

    assert done.exit_code == 1
    assert sorted(rows(orders, "line", "outcome", "detail")) == [
        ("1", "accepted", "1"),
        ("2", "unrecognised", "paid"),
        ("3", "unreadable", "order_id"),
        ("4", "accepted", "1"),
    ]
    assert "line 2: unrecognised paid\n" in done.stdout
    # When it is run again, then they have an outcome, as the shop's own delivery would
    assert backfill(intake, orders).exit_code == 1
    assert len(intake.bodies) == len(lines)


def test_given_a_secret_that_is_not_the_stacks_then_the_run_ends_and_says_so(
    intake: Intake, orders: Path, tmp_path: Path
) -> None:
    other = tmp_path / "sources.json"
    other.write_text(SOURCES.read_text().replace("demo-shopify", "another"))
    done = backfill(intake, orders, SOURCES=str(other))
    assert done.exit_code == 1
    assert "answered 401 bad_signature" in done.stderr


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (f"{order(1)}\n{{\n", ["line 2", "no json", "whole body"]),
        (json.dumps({"id": 1}, indent=1), ["line 1", "whole body"]),
        ("\n \n", ["nothing to send"]),
        (f"{order(1)}\n{' ' * 5_000_000}", ["line 2", "4,700,000"]),
    ],
)
def test_given_lines_that_are_no_deliveries_then_they_are_named_and_nothing_is_sent(
    intake: Intake, orders: Path, content: str, words: list[str]
) -> None:
    orders.write_text(content)
    refused = backfill(intake, orders)
    assert (refused.exit_code, refused.stdout, intake.bodies) == (2, "", [])
    for word in words:
        assert word in refused.stderr


@pytest.mark.parametrize(
    ("source", "words"),
    [("nobody", "SOURCE must name one"), ("of-forms", "send a form"), ("by-bus", "has no secret")],
)
def test_given_a_source_that_cannot_sign_then_nothing_is_sent(orders: Path, source: str, words: str) -> None:
    token = {"scheme": "token", "field": "key"}
    sources = {
        "of-forms": {"platform": "shopify", "auth": token, "secrets": ["hush-hush"], "loyalty_id": 5},
        "by-bus": {"platform": "shopify", "event_source": "aws.partner/shopify.com/1/shop", "loyalty_id": 5},
    }
    document = orders.with_name("sources.json")
    document.write_text(json.dumps(sources))
    refused = backfill(None, orders, source, SOURCES=str(document))
    assert refused.exit_code == 1
    assert words in refused.stderr
    assert not orders.with_name("orders.result.csv").exists()


def test_given_a_dry_run_then_each_line_is_explained_and_nothing_is_sent(orders: Path) -> None:
    lines = [order(1), "{", order(3, financial_status="pending"), f"[{order(4)}, {order(5, id=None)}]", order(6)]
    orders.write_text("\n".join(lines))

    done = backfill(None, orders, DRY_RUN="1")

    explained = done.stdout.splitlines()
    assert done.exit_code == 1
    assert explained[0] == "line 1: accepted: C-1 (5)"
    assert explained[1].startswith("line 2: is no json")
    assert explained[2] == "line 3: not_paid"
    assert explained[3].startswith("line 4: accepted: C-4 (5); unreadable")
    assert explained[4:] == ["line 5: accepted: C-6 (5)", "3 read, 2 not read; nothing was sent"]
    orders.write_text(order(1))
    assert backfill(None, orders, DRY_RUN="1").exit_code == 0
    orders.write_text("")
    assert backfill(None, orders, DRY_RUN="1").exit_code == 1
