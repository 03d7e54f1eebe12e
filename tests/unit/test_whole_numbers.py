"""Whole numbers as senders write them: JSON has one kind of number, and PHP's 5.0 is a 5."""

import pytest

from activate.redemption import Redemption
from export_all.requests import ExportRequest
from lambda_support.fields import InvalidField


@pytest.mark.parametrize("five", [5, 5.0, "5", "005"])
def test_a_whole_number_is_accepted_however_it_is_written(five: object) -> None:
    assert Redemption.from_fields({"code": "Code-1", "loyalty_id": five}).loyalty_id == 5
    assert ExportRequest.from_fields({"loyalty_id": five}).loyalty_id == 5


@pytest.mark.parametrize("value", [5.5, float("inf"), float("nan"), -5.0, 0.0, 1e300, True, "5.0", None, [5]])
def test_anything_but_a_whole_number_is_refused(value: object) -> None:
    with pytest.raises(InvalidField, match="loyalty_id"):
        Redemption.from_fields({"code": "Code-1", "loyalty_id": value})
    with pytest.raises(InvalidField, match="loyalty_id"):
        ExportRequest.from_fields({"loyalty_id": value})


@pytest.mark.parametrize("order_id", ["1001", 1001, 1001.0])
def test_an_order_is_the_same_however_its_id_is_written(order_id: object) -> None:
    assert Redemption.from_fields({"code": "Code-1", "loyalty_id": 5, "order_id": order_id}).order_id == "1001"
