"""The emulated Altcraft over HTTP: the documentation's own samples, the rules of the state, every fault."""

import gzip
import json
import re
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

import msgspec
import pytest
import requests
import xmltodict

from local.emulator import Emulator
from local.emulator.faults import AnyFault, Cut, Delay, Drop, Fault, Late, Page, Refuse
from local.emulator.settings import Settings

TOKEN = "abcdefghijklmnqrstuvwxyz"
XML = {"Content-Type": "application/xml"}
SUCCESS = {"data": None, "error": 0, "error_text": "Successful operation"}


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = datetime(2024, 4, 1, 12, 39, 34, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def set(self, hour: int, minute: int, second: int) -> None:
        self.now = self.now.replace(hour=hour, minute=minute, second=second)


class Altcraft:
    """A client of the emulator that shows what comes over the wire."""

    def __init__(self, emulator: Emulator, clock: Clock) -> None:
        self.emulator = emulator
        self.clock = clock
        self._session = requests.Session()
        self._session.trust_env = False

    def post(self, endpoint: str, body: str, headers: dict[str, str] | None = None, **kwargs: Any) -> requests.Response:
        url = f"{self.emulator.url}/api/v1.1/promocodes/{endpoint}"
        kind = headers or {"Content-Type": "application/json"}
        return self._session.post(url, body.encode(), headers=kind, timeout=10, **kwargs)

    def ask(self, endpoint: str, **fields: object) -> dict[str, Any]:
        reply = self.post(endpoint, json.dumps({"token": TOKEN, "loyalty_id": 5, **fields}))
        answer: dict[str, Any] = reply.json()
        return answer

    def control(self, method: str, path: str, body: object = None) -> requests.Response:
        return self._session.request(method, f"{self.emulator.url}/_emulator{path}", json=body, timeout=10)

    def close(self) -> None:
        self._session.close()


@pytest.fixture
def altcraft() -> Iterator[Altcraft]:
    clock = Clock()
    with Emulator(Settings(tokens=frozenset({TOKEN})), clock=clock) as emulator:
        client = Altcraft(emulator, clock)
        yield client
        client.close()


@pytest.fixture
def documented(altcraft: Altcraft) -> Altcraft:
    """The three codes of the documentation's export, made by the API itself."""
    altcraft.emulator.programs.create(6)
    altcraft.ask("import", loyalty_id=6, codes=["Code-1", "Code-2", "Code-3"])
    altcraft.clock.set(14, 2, 5)
    altcraft.ask("attach", loyalty_id=6, code="Code-2", db_id=1, email="a@example.com")
    altcraft.clock.set(14, 4, 12)
    altcraft.ask("activate", loyalty_id=6, code="Code-2")
    return altcraft


def test_activate_answers_the_documented_json(altcraft: Altcraft) -> None:
    altcraft.emulator.programs.add(5, "Code-1", attached=True)
    reply = altcraft.post("activate", '{"token": "abcdefghijklmnqrstuvwxyz", "code": "Code-1", "loyalty_id": 5}')
    assert reply.status_code == 200
    assert reply.headers["Content-Type"] == "application/json; charset=utf-8"
    assert list(reply.json().items()) == list(SUCCESS.items())


def test_activate_answers_the_documented_xml(altcraft: Altcraft) -> None:
    altcraft.emulator.programs.add(5, "Code-1", attached=True)
    body = "<xml><token>abcdefghijklmnqrstuvwxyz</token><code>Code-1</code><loyalty_id>5</loyalty_id></xml>"
    reply = altcraft.post("activate?format=xml", body, XML)
    assert reply.headers["Content-Type"] == "application/xml; charset=utf-8"
    assert reply.text == "<xml><data/><error>0</error><error_text>Successful operation</error_text></xml>"


def test_export_answers_the_documented_json(documented: Altcraft) -> None:
    reply = documented.post("export_all", '{"loyalty_id": 6, "token": "abcdefghijklmnqrstuvwxyz"}')
    assert reply.json() == {
        "data": [
            {"code": "Code-1"},
            {"code": "Code-2", "attached": "2024-04-01T14:02:05Z", "activated": "2024-04-01T14:04:12Z"},
            {"code": "Code-3"},
        ],
        "error": 0,
        "error_text": "Successful operation",
    }
    assert reply.text.endswith('],"error":0,"error_text":"Successful operation"}')


def test_export_answers_the_documented_xml(documented: Altcraft) -> None:
    body = "<xml><loyalty_id>6</loyalty_id><token>abcdefghijklmnqrstuvwxyz</token><format>xml</format></xml>"
    assert documented.post("export_all", body, XML).text == (
        "<xml><data><code>Code-1</code></data><data><activated>2024-04-01T14:04:12Z</activated>"
        "<attached>2024-04-01T14:02:05Z</attached><code>Code-2</code></data><data><code>Code-3</code></data>"
        "<error>0</error><error_text>Successful operation</error_text></xml>"
    )


def test_get_answers_the_documented_json(altcraft: Altcraft) -> None:
    altcraft.emulator.programs.add(5, "CODE-1")
    reply = altcraft.post("get", json.dumps({"token": TOKEN, "code": "CODE-1", "loyalty_id": 5}))
    assert reply.text == (
        '{"data":{"created":"2024-04-01T12:39:34Z","is_attached":false,"is_activated":false,"is_expired":false,'
        '"attached":"","activated":"","expired":"","expire_date":"","loyalty_id":5,"code":"CODE-1"},'
        '"error":0,"error_text":"Successful operation"}'
    )


def test_get_answers_the_documented_xml(altcraft: Altcraft) -> None:
    altcraft.emulator.programs.add(5, "CODE-1")
    body = f"<xml><token>{TOKEN}</token><code>CODE-1</code><loyalty_id>5</loyalty_id><format>xml</format></xml>"
    assert altcraft.post("get", body, XML).text == (
        "<xml><data><activated/><attached/><code>CODE-1</code><created>2024-04-01T12:39:34Z</created><expire_date/>"
        "<expired/><is_activated>false</is_activated><is_attached>false</is_attached><is_expired>false</is_expired>"
        "<loyalty_id>5</loyalty_id></data><error>0</error><error_text>Successful operation</error_text></xml>"
    )


def test_import_says_what_became_of_each_code(altcraft: Altcraft) -> None:
    altcraft.emulator.programs.add(5, "old")
    altcraft.emulator.settings = msgspec.structs.replace(altcraft.emulator.settings, program_limit=2)
    assert altcraft.ask("import", codes=["old", "new", "one too many"]) == {
        "data": [
            {"code": "old", "error": 500, "error_text": "Promocode duplicated"},
            {"code": "new", "error": 0, "error_text": "Successful operation"},
        ],
        "discarded_by_limit": 1,
        "duplicated": 1,
        "inserted": 1,
        "error": 0,
        "error_text": "Successful operation",
    }


def test_import_takes_one_code_in_xml_as_a_list_of_one(altcraft: Altcraft) -> None:
    altcraft.emulator.programs.create(5)
    body = f"<xml><token>{TOKEN}</token><codes>00123</codes><loyalty_id>5</loyalty_id></xml>"
    assert altcraft.post("import", body, XML).json()["inserted"] == 1
    assert altcraft.ask("get", code="00123")["data"]["code"] == "00123"


def test_update_activates_deactivates_and_dates_a_code(altcraft: Altcraft) -> None:
    altcraft.emulator.programs.add(5, "code", attached=True)
    assert altcraft.ask("update", code="code", activated=True) == SUCCESS
    assert altcraft.ask("get", code="code")["data"]["is_activated"] is True
    assert altcraft.ask("update", code="code", activated=False, expire_date="2024-04-01T12:00:00Z") == SUCCESS
    state = altcraft.ask("get", code="code")["data"]
    assert (state["is_activated"], state["is_expired"], state["expired"]) == (False, True, "2024-04-01T12:00:00Z")


def test_attach_and_detach_move_a_code_between_profiles(altcraft: Altcraft) -> None:
    altcraft.emulator.programs.create(5)
    first, second = {"db_id": 1, "email": "a@example.com"}, {"db_id": 1, "matching": "phone", "phone": "+1"}
    assert altcraft.ask("attach", code="unknown so far", **first) == SUCCESS
    assert altcraft.ask("attach", code="unknown so far", **second)["error"] == altcraft.emulator.settings.taken.error
    assert altcraft.ask("detach", **first) == SUCCESS
    assert altcraft.ask("get", code="unknown so far")["data"]["is_attached"] is False
    assert altcraft.ask("attach", **second) == SUCCESS
    assert altcraft.ask("get", code="unknown so far")["data"]["database_id"] == 1


def test_a_universal_code_belongs_to_several_profiles(altcraft: Altcraft) -> None:
    altcraft.emulator.programs.create(5, universal=True)
    for profile in (1, 2):
        assert altcraft.ask("attach", code="ALL", db_id=1, profile_id=profile) == SUCCESS
    altcraft.ask("detach", code="ALL", db_id=1, profile_id=1)
    assert altcraft.ask("get", code="ALL")["data"]["is_attached"] is True


@pytest.mark.parametrize(
    ("code", "setting"),
    [("missing", "no_code"), ("loose", "not_attached"), ("used", "already_activated"), ("old", "expired")],
)
def test_activate_refuses_as_the_settings_say(altcraft: Altcraft, code: str, setting: str) -> None:
    programs = altcraft.emulator.programs
    programs.add(5, "loose")
    programs.add(5, "used", attached=True, activated=True)
    programs.add(5, "old", attached=True, expire_date=altcraft.clock.now)
    altcraft.control("PUT", "/settings", {setting: {"error": 4321, "error_text": "as set"}, "error_status": 409})
    reply = altcraft.post("activate", json.dumps({"token": TOKEN, "loyalty_id": 5, "code": code}))
    assert reply.status_code == 409
    assert reply.json() == {"data": None, "error": 4321, "error_text": "as set"}
    assert not programs.activations


def test_a_second_activation_can_be_let_through_and_is_counted(altcraft: Altcraft) -> None:
    altcraft.emulator.programs.add(5, "code", attached=True)
    altcraft.control("PUT", "/settings", {"already_activated": None})
    assert [altcraft.ask("activate", code="code") for _ in range(2)] == [SUCCESS, SUCCESS]
    journal = altcraft.control("GET", "/journal").json()
    assert journal == {"calls": {"activate": 2}, "most_at_once": 1, "activations": {"5": {"code": 2}}}


@pytest.mark.parametrize(
    "fields",
    [
        {"loyalty_id": "5", "code": "a"},
        {"loyalty_id": 5},
        {"loyalty_id": 5, "code": ""},
        {"loyalty_id": 5, "code": 7},
        {"loyalty_id": 0, "code": "a"},
    ],
)
def test_a_wrong_field_is_an_incorrect_request(altcraft: Altcraft, fields: dict[str, object]) -> None:
    reply = altcraft.post("activate", json.dumps({"token": TOKEN, **fields}))
    assert reply.json() == {"data": None, "error": 400, "error_text": "Incorrect request"}


@pytest.mark.parametrize("body", ["", "{", "[]", "null"])
def test_an_unreadable_request_has_no_token(altcraft: Altcraft, body: str) -> None:
    assert altcraft.post("activate", body).json()["error"] == 401


def test_update_without_a_change_is_incorrect(altcraft: Altcraft) -> None:
    altcraft.emulator.programs.add(5, "code")
    assert altcraft.ask("update", code="code")["error"] == 400


def test_the_token_may_come_as_a_bearer(altcraft: Altcraft) -> None:
    altcraft.emulator.programs.create(5)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"}
    assert altcraft.post("export_all", '{"loyalty_id": 5}', headers).json()["data"] == []


def test_a_token_that_is_not_accepted_is_refused(altcraft: Altcraft) -> None:
    altcraft.control("PUT", "/settings", {"tokens": ["rotated"], "wrong_token": {"error": 403, "error_text": "No"}})
    assert altcraft.ask("export_all") == {"data": None, "error": 403, "error_text": "No"}
    assert altcraft.ask("export_all", token="")["error"] == 401


def test_an_unknown_endpoint_or_method_is_no_envelope(altcraft: Altcraft) -> None:
    assert altcraft.post("delete", "{}").status_code == 404
    assert requests.get(f"{altcraft.emulator.url}/api/v1.1/promocodes/get", timeout=10).status_code == 405


@pytest.mark.parametrize(("null", "shown"), [(False, []), (True, None)])
def test_an_empty_export_has_either_shape(altcraft: Altcraft, null: bool, shown: object) -> None:
    altcraft.emulator.programs.create(5)
    altcraft.control("PUT", "/settings", {"empty_export_as_null": null})
    assert altcraft.ask("export_all")["data"] == shown


@pytest.mark.parametrize("count", [1, 999, 1000, 1001, 2500])
@pytest.mark.parametrize("wire", ["json", "xml"])
def test_a_generated_program_has_as_many_codes_as_asked_for(altcraft: Altcraft, wire: str, count: int) -> None:
    altcraft.emulator.programs.add(5, "stored")
    altcraft.control("PUT", "/programs/5", {"generated": count})
    reply = altcraft.post("export_all", json.dumps({"token": TOKEN, "loyalty_id": 5, "format": wire}))
    assert reply.headers["Transfer-Encoding"] == "chunked"
    message = reply.json() if wire == "json" else xmltodict.parse(reply.content, force_list=("data",))["xml"]
    codes = [record["code"] for record in message["data"]]
    assert codes == ["stored", *(f"GEN-{number:09d}" for number in range(count))]
    assert int(message["error"]) == 0


def test_gzip_is_sent_to_whom_it_suits(altcraft: Altcraft) -> None:
    altcraft.emulator.programs.add(5, "code")
    altcraft.control("PUT", "/settings", {"compress": True})
    body = json.dumps({"token": TOKEN, "loyalty_id": 5})
    plain = altcraft.post("export_all", body, {"Accept-Encoding": "identity"})
    packed = altcraft.post("export_all", body, {"Accept-Encoding": "gzip"}, stream=True)
    assert gzip.decompress(packed.raw.read(decode_content=False)) == plain.content


def test_a_client_that_waits_before_it_sends_its_body_is_let_send_it(altcraft: Altcraft) -> None:
    address = urlsplit(altcraft.emulator.url)
    body = json.dumps({"token": "wrong"}).encode()
    head = f"POST /api/v1.1/promocodes/get HTTP/1.1\r\nContent-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
    with socket.create_connection((str(address.hostname), address.port or 0), timeout=10) as connection:
        connection.sendall(head.encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(body)
        assert connection.recv(100).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("framing", ["Transfer-Encoding: chunked", "Content-Length: -1", "Content-Length: many"])
def test_a_body_without_a_length_is_refused_and_the_connection_ends(altcraft: Altcraft, framing: str) -> None:
    address = urlsplit(altcraft.emulator.url)
    with socket.create_connection((str(address.hostname), address.port or 0), timeout=10) as connection:
        connection.sendall(f"POST /api/v1.1/promocodes/get HTTP/1.1\r\n{framing}\r\n\r\n0\r\n\r\n".encode())
        reply = b"".join(iter(lambda: connection.recv(1000), b""))
    assert reply.startswith(b"HTTP/1.1 411 ")


# --- faults --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def attached(altcraft: Altcraft) -> Altcraft:
    altcraft.emulator.programs.add(5, "code", attached=True)
    return altcraft


def set_faults(altcraft: Altcraft, *faults: AnyFault) -> None:
    """Set faults through the control routes, as another process would."""
    reply = altcraft.control("PUT", "/faults", msgspec.to_builtins(list(faults)))
    assert reply.status_code == 200, reply.text


def activations(altcraft: Altcraft) -> int:
    return altcraft.emulator.programs.activations[5, "code"]


def test_it_refuses_the_next_calls_of_one_endpoint(attached: Altcraft) -> None:
    set_faults(attached, Refuse(error=440, error_text="?", calls=2, endpoints=frozenset({"activate"})))
    assert attached.ask("get", code="code")["error"] == 0
    assert [attached.ask("activate", code="code")["error"] for _ in range(3)] == [440, 440, 0]


@pytest.mark.parametrize(
    "page",
    [
        Page(),
        Page(status=429, content_type="text/plain", body="slow down", headers={"Retry-After": "7"}),
        Page(status=200, body="<html>works</html>"),
    ],
)
def test_it_answers_with_something_that_is_no_envelope(attached: Altcraft, page: Page) -> None:
    set_faults(attached, page)
    reply = attached.post("activate", json.dumps({"token": TOKEN, "loyalty_id": 5, "code": "code"}))
    assert (reply.status_code, reply.text) == (page.status, page.body)
    assert {name: reply.headers[name] for name in page.headers} == page.headers
    assert activations(attached) == 0


@pytest.mark.parametrize("applied", [False, True])
def test_it_loses_a_reply_before_or_after_applying_the_call(attached: Altcraft, applied: bool) -> None:
    set_faults(attached, Drop(applied=applied))
    with pytest.raises(requests.ConnectionError):
        attached.ask("activate", code="code")
    assert activations(attached) == applied


def test_it_cuts_a_message_short(attached: Altcraft) -> None:
    set_faults(attached, Cut(after=20))
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        attached.ask("activate", code="code")
    assert activations(attached) == 1


def test_it_cuts_an_export_short(attached: Altcraft) -> None:
    attached.emulator.programs.create(5, generated=5000)
    set_faults(attached, Cut(after=100_000))
    received: list[bytes] = []
    reply = attached.post("export_all", json.dumps({"token": TOKEN, "loyalty_id": 5}), stream=True)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        received.extend(reply.iter_content(None))
    assert 0 < sum(map(len, received)) <= 100_000


def test_an_export_ends_in_an_error_after_some_records(attached: Altcraft) -> None:
    attached.emulator.programs.create(5, generated=5000)
    set_faults(attached, Late(rows=1500, error=500, error_text="overload"))
    reply = attached.ask("export_all")
    assert (len(reply["data"]), reply["error"], reply["error_text"]) == (1500, 500, "overload")


def test_a_delayed_call_is_carried_out_before_its_reply_comes(attached: Altcraft) -> None:
    set_faults(attached, Delay(seconds=60))
    body = json.dumps({"token": TOKEN, "loyalty_id": 5, "code": "code"}).encode()
    url = f"{attached.emulator.url}/api/v1.1/promocodes/activate"
    with pytest.raises(requests.ReadTimeout):
        requests.post(url, body, headers={"Content-Type": "application/json"}, timeout=(5, 0.2))
    assert activations(attached) == 1


def test_a_fraction_of_the_calls_fails_the_same_in_every_run(attached: Altcraft) -> None:
    def run() -> list[bool]:
        set_faults(attached, Refuse(error=1, error_text="half", calls=None, fraction=0.5))
        return [attached.ask("get", code="code")["error"] == 1 for _ in range(40)]

    first = run()
    assert first == run()
    assert 10 <= sum(first) <= 30


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PUT", "/faults", [{"kind": "flood"}], 400),
        ("PUT", "/faults", [{"kind": "refuse"}], 400),
        ("PUT", "/settings", {"expired": 7}, 400),
        ("PUT", "/settings", {"expires": None}, 400),
        ("POST", "/programs/5/codes", {"code": "A"}, 400),
        ("GET", "/nothing", None, 404),
    ],
)
def test_control_names_what_is_wrong(altcraft: Altcraft, method: str, path: str, body: object, status: int) -> None:
    before = altcraft.control("GET", "/settings").json()
    assert altcraft.control(method, path, body).status_code == status
    assert altcraft.control("GET", "/settings").json() == before


def test_control_seeds_and_forgets(altcraft: Altcraft) -> None:
    seed = {"codes": ["A", "B"], "attached": True, "expire_date": "2030-01-01T00:00:00Z"}
    altcraft.control("POST", "/programs/5/codes", seed)
    state = altcraft.ask("get", code="B")["data"]
    assert (state["is_attached"], state["expire_date"]) == (True, "2030-01-01T00:00:00Z")
    altcraft.control("DELETE", "")
    assert altcraft.ask("get", code="B")["error"] == altcraft.emulator.settings.no_program.error


def test_waiting_for_activations_ends_when_they_are_there(attached: Altcraft) -> None:
    programs = attached.emulator.programs
    assert not programs.wait_for_activations(bool, seconds=0)
    attached.ask("activate", code="code")
    assert programs.wait_for_activations(lambda seen: seen[5, "code"] == 1, seconds=0)


def test_the_clock_moves_a_code_past_its_date(altcraft: Altcraft) -> None:
    altcraft.emulator.programs.add(5, "code", attached=True, expire_date=altcraft.clock.now + timedelta(hours=1))
    assert altcraft.ask("get", code="code")["data"]["is_expired"] is False
    altcraft.clock.now += timedelta(hours=1)
    assert altcraft.ask("get", code="code")["data"]["is_expired"] is True


def test_the_documentation_names_every_fault_with_its_fields() -> None:
    page = (Path(__file__).parents[2] / "docs" / "local.md").read_text()
    rows = {kind: re.findall(r"`(\w+)`", fields) for kind, fields in re.findall(r"\| `(\w+)` \|([^|]*)\|", page)}
    common = set(Fault.__struct_fields__)
    for fault in get_args(AnyFault):
        own = [name for name in fault.__struct_fields__ if name not in common]
        assert sorted(rows[fault.__struct_config__.tag]) == sorted(own)
