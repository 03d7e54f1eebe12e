"""Histories of reversals that are rare at random, each with the harm that it would do; the model checks what it promises."""

from datetime import timedelta
from typing import Any

from activate.ledger import LATE_ARRIVAL
from activate.redemption import Outcome, Result, TryAgain
from tests.unit.test_ledger_model import Shop

CODE = "x"
LOST_LATE = {"activate": "lost, late", "deactivate": "lost, late"}


class History(Shop):
    """The model, told what to do."""

    def __init__(self, **world: Any) -> None:
        super().__init__()
        self.begin(**{"skew": 0, "times": "zoned", "idempotent": False, **world})

    def pays(self, order_id: str, fates: dict[str, str] | None = None) -> Result | TryAgain | None:
        return self._run(order_id, fates or {}, is_reversal=False)

    def gives_back(self, order_id: str, fates: dict[str, str] | None = None) -> Result | TryAgain | None:
        return self._run(order_id, fates or {}, is_reversal=True)

    def _run(self, order_id: str, fates: dict[str, str], *, is_reversal: bool) -> Result | TryAgain | None:
        """Run to the end; `fates`: how the first call of each name ends, if not well. None: the run was killed."""
        run, request = self._start(order_id, CODE, is_reversal=is_reversal)
        fates = dict(fates)
        while run.pending:
            run.step(self._fate(fates.pop(run.pending, "well"), run.pending, request))
        if isinstance(request.ended, Result):
            self._check(request, request.ended)
        return request.ended

    def starts_to_give_back(self, order_id: str) -> None:
        """Run up to the request, which is not sent yet."""
        run, request = self._start(order_id, CODE, is_reversal=True)
        self.runs.append((run, request))
        while run.pending != "deactivate":
            run.step(self._fate("well", run.pending, request))

    def wait(self, duration: timedelta = LATE_ARRIVAL + timedelta(minutes=2)) -> None:
        self.world.pass_time(duration.total_seconds())

    @property
    def is_activated(self) -> bool:
        return self.world.codes[CODE].activated_at is not None


ACTIVATED, DEACTIVATED = Result(Outcome.ACTIVATED), Result(Outcome.DEACTIVATED)
NOT_HELD = Result(Outcome.NOT_HELD_BY_ORDER)


def reason(ended: Result | TryAgain | None) -> str:
    assert isinstance(ended, TryAgain), ended
    return ended.reason


def test_the_reversal_of_an_order_that_holds_nothing_does_not_free_a_code_whose_reversal_may_still_arrive() -> None:
    history = History()
    # Given an order without an outcome, and another one that gave the code back, whose first request is on its way
    assert reason(history.pays("C", {"activate": "lost"})) == "unsettled"
    history.wait()
    assert history.pays("A") == ACTIVATED
    history.gives_back("A", LOST_LATE)
    assert history.gives_back("A") == DEACTIVATED

    # When the first order is reversed too, then a new order still has to wait for that request
    assert history.gives_back("C") == NOT_HELD
    assert reason(history.pays("D")) == "unsettled"
    history.arrive_late(0)
    history.wait()
    assert history.pays("D") == ACTIVATED
    history.teardown()


def test_an_order_does_not_give_back_the_code_of_an_order_that_got_it_after_its_own_try() -> None:
    history = History()
    history.pays("A", {"activate": "lost"})
    assert history.pays("B") == ACTIVATED
    history.wait()

    assert history.gives_back("A") == NOT_HELD
    assert history.is_activated
    history.teardown()


def test_an_order_gives_nothing_back_while_the_activation_of_another_order_may_still_arrive() -> None:
    history = History()
    history.pays("B", LOST_LATE)
    assert history.pays("A") == ACTIVATED

    assert reason(history.gives_back("A")) == "unsettled"
    history.wait()
    assert history.gives_back("A") == DEACTIVATED
    history.teardown()


def test_an_order_gives_nothing_back_while_the_last_of_its_activations_may_still_arrive() -> None:
    history = History()
    history.pays("A", LOST_LATE)
    history.wait()
    history.pays("A", LOST_LATE)

    assert reason(history.gives_back("A")) == "unsettled"
    history.arrive_late(1)
    history.wait()
    assert history.gives_back("A") == DEACTIVATED
    history.teardown()


def test_an_order_gives_nothing_back_while_the_activation_of_a_killed_run_may_still_arrive() -> None:
    history = History()
    assert history.pays("A", {"activate": "killed, late"}) is None
    history.wait(timedelta(seconds=70))

    assert reason(history.gives_back("A")) == "unsettled"
    history.arrive_late(0)
    history.wait()
    assert history.gives_back("A") == DEACTIVATED
    history.teardown()


def test_another_order_waits_while_a_lost_reversal_may_still_arrive() -> None:
    history = History()
    history.pays("A")
    assert reason(history.gives_back("A", LOST_LATE)) == "unsettled"

    assert reason(history.pays("B")) == "unsettled"
    history.arrive_late(0)
    history.wait()
    assert history.pays("B") == ACTIVATED
    history.teardown()


def test_a_reversal_that_may_still_arrive_is_not_forgotten_by_a_run_that_could_not_send_one() -> None:
    history = History()
    history.pays("A")
    history.gives_back("A", LOST_LATE)
    assert reason(history.gives_back("A", {"deactivate": "never sent"})) == "altcraft_unreachable"

    assert history.pays("A") == Result(Outcome.RELEASED_BY_ORDER)
    assert reason(history.pays("B")) == "unsettled"
    history.arrive_late(0)
    history.wait()
    assert history.pays("B") == ACTIVATED
    history.teardown()


def test_another_order_waits_while_a_confirmed_reversal_may_still_arrive() -> None:
    history = History(refuses_unused=True)
    history.pays("A")
    assert reason(history.gives_back("A", {"deactivate": "confirmed, late"})) == "unsettled"
    assert history.gives_back("A") == DEACTIVATED

    assert reason(history.pays("B")) == "unsettled"
    history.arrive_late(0)
    history.wait()
    assert history.pays("B") == ACTIVATED
    history.teardown()


def test_another_order_waits_for_the_killed_reversal_of_a_code_whose_activation_was_lost() -> None:
    history = History()
    history.pays("A", {"activate": "lost after", "get": "lost"})
    history.wait()
    assert history.gives_back("A", {"deactivate": "killed, late"}) is None
    history.wait(timedelta(seconds=70))

    assert reason(history.pays("B")) == "unsettled"
    history.arrive_late(0)
    history.wait()
    assert history.pays("B") == ACTIVATED
    history.teardown()


def test_an_order_whose_activation_was_lost_does_not_give_back_what_was_activated_before_it() -> None:
    history = History()
    history.change_by_hand(CODE, "activated")
    history.wait(timedelta(hours=30))
    history.pays("A", {"activate": "lost", "get": "lost"})
    history.wait()

    assert history.gives_back("A") == NOT_HELD
    assert history.is_activated
    history.teardown()


def test_while_a_reversal_runs_another_run_of_it_has_to_wait() -> None:
    history = History()
    history.pays("A")
    history.starts_to_give_back("A")

    assert reason(history.gives_back("A")) == "in_progress"
    assert reason(history.pays("B")) == "in_progress"
    history.go_on(number=0, fates=[], to_its_end=True)
    assert history.pays("B") == ACTIVATED
    history.teardown()


def test_an_order_that_another_one_had_the_code_after_is_told_so_even_if_that_one_gave_it_back() -> None:
    history = History()
    history.pays("A")
    assert history.gives_back("A") == DEACTIVATED
    # Given an order whose activation was lost, so that only its reversal finds out that it had the code
    history.pays("B", {"activate": "lost after", "get": "lost"})
    history.wait()
    assert history.gives_back("B") == DEACTIVATED

    assert history.gives_back("A") == NOT_HELD
    assert history.gives_back("B") == DEACTIVATED
    history.teardown()
