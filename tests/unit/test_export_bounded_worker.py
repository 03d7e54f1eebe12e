"""The threads of the pipeline: order, back pressure, and errors that must not be lost."""

import threading

import pytest

from export_all.bounded_worker import BoundedWorker, Stopped

SECONDS = 10


def test_items_are_processed_in_order() -> None:
    done: list[int] = []
    worker = BoundedWorker("test", done.append, 2)

    for number in range(100):
        worker.put(number)
    worker.close()

    assert done == list(range(100))


def test_a_slow_step_makes_the_previous_one_wait() -> None:
    # Given a step that does not end
    go_on, begun = threading.Event(), threading.Event()

    def work(_: int) -> None:
        begun.set()
        go_on.wait(SECONDS)

    worker = BoundedWorker("test", work, 2)
    taken: list[int] = []

    def feed() -> None:
        for number in range(5):
            worker.put(number)
            taken.append(number)

    # When it is fed
    feeder = threading.Thread(target=feed)
    feeder.start()
    assert begun.wait(SECONDS)
    feeder.join(0.2)

    # Then it accepts no more items than its depth until it continues
    assert feeder.is_alive()
    assert taken == [0, 1]
    go_on.set()
    feeder.join(SECONDS)
    worker.close()
    assert taken == [0, 1, 2, 3, 4]


def test_an_error_is_raised_by_put() -> None:
    def work(_: int) -> None:
        raise ZeroDivisionError

    worker = BoundedWorker("test", work, 1)

    def feed() -> None:
        while True:
            worker.put(1)

    with pytest.raises(ZeroDivisionError):
        feed()


def test_an_error_of_the_last_item_is_raised_by_close() -> None:
    def work(_: int) -> None:
        raise ZeroDivisionError

    worker = BoundedWorker("test", work, 1)
    worker.put(1)

    with pytest.raises(ZeroDivisionError):
        worker.close()


def test_stop_releases_a_waiting_put() -> None:
    go_on = threading.Event()
    worker: BoundedWorker[int] = BoundedWorker("test", lambda _: go_on.wait(SECONDS), 1)
    worker.put(1)
    freed: list[BaseException] = []

    def feed() -> None:
        try:
            worker.put(2)
        except Stopped as stopped:
            freed.append(stopped)

    feeder = threading.Thread(target=feed)
    feeder.start()
    worker.stop()
    feeder.join(SECONDS)

    assert len(freed) == 1
    go_on.set()
