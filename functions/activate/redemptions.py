"""Which order used which code: the memory that makes an activation happen once, in one DynamoDB table.

Two kinds of items, by the prefix of `id`; all of them expire:

- `redemption#...`, kept by Powertools Idempotency: the lock while an order's code is being activated, and afterwards the
  answer. Its key is the program and the code, and it is validated on the order, so another order stands out.
- `attempt#...`: when an order first tried, written before Altcraft is asked, and taken away once it is certain that none of the
  order's tries activated the code. Powertools forgets a run that failed; but a run whose reply was lost, or that was killed,
  may have activated the code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyAlreadyInProgressError,
    IdempotencyInconsistentStateError,
    IdempotencyPersistenceLayerError,
    IdempotencyValidationError,
)
from botocore.exceptions import BotoCoreError, ClientError

from activate.activation import NO_OUTCOME, Attempt, Outcome, Redemption, Result, TryAgain

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.idempotency.persistence.datarecord import DataRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext

MEMORY: Final = timedelta(days=400)
"""How long a redemption is remembered: a shop may deliver an order's webhook again, or a customer reuse a code, a year on."""


class _Ledger(DynamoDBPersistenceLayer):
    """Powertools' table, telling another order's finished redemption from one that is still under way."""

    def _validate_payload(self, data_payload: dict[str, Any] | DataRecord, stored_data_record: DataRecord) -> None:
        # Under way it may yet fail, and then the code is free for this order: so it is "in progress" for both.
        if stored_data_record.status == "INPROGRESS":
            return
        try:
            super()._validate_payload(data_payload, stored_data_record)
        except IdempotencyValidationError as error:
            raise _UsedByAnotherOrder(stored_data_record.response_json_as_dict() or {}) from error


class _UsedByAnotherOrder(IdempotencyValidationError):
    def __init__(self, answer: dict[str, Any]) -> None:
        super().__init__()
        self.answer = answer


class _NoRedemption(Exception):
    """Carries a result through Powertools, which forgets what an exception ends."""

    def __init__(self, result: Result) -> None:
        super().__init__(result.outcome)
        self.result = result


Settle = Callable[[Redemption, Attempt], Result]
"""Find out how a redemption ends, noting in the attempt where it may have been applied without a reply."""


class Redemptions:
    """The table of redemptions, for the life of a sandbox."""

    def __init__(self, table: str, dynamodb: Any) -> None:
        self._table = table
        self._dynamodb = dynamodb
        self._config = IdempotencyConfig(
            event_key_jmespath="[loyalty_id, code]",
            payload_validation_jmespath="order_id",
            expires_after_seconds=int(MEMORY.total_seconds()),
            hash_function="sha256",
        )
        self._ledger = _Ledger(table, boto3_client=dynamodb)

    def invocation(self, context: LambdaContext) -> None:
        """Tell how long this invocation may last: a lock outlives a killed sandbox no longer than that."""
        self._config.register_lambda_context(context)

    def once(self, redemption: Redemption, settle: Settle) -> Result:
        """Settle an order's redemption, once; the same order again gets the remembered answer.

        Raises:
            TryAgain: the code is being activated just now, or the table does not answer.
            Exception: what `settle` raises.
        """

        def redeem(*, order: dict[str, Any]) -> dict[str, Any]:
            attempt = self._begin_attempt(redemption)
            try:
                result = settle(redemption, attempt)
            except NO_OUTCOME:
                # Otherwise a code that somebody else activates meanwhile would pass for this order's own.
                if not attempt.may_be_applied:
                    self._end_attempt(redemption)
                raise
            if result.outcome is not Outcome.ACTIVATED:
                self._end_attempt(redemption)
                raise _NoRedemption(result)
            return {"order_id": order["order_id"], "activated_at": datetime.now(UTC).isoformat(timespec="seconds")}

        redeem_once = idempotent_function(
            redeem,
            data_keyword_argument="order",
            persistence_store=self._ledger,
            config=self._config,
            key_prefix="redemption",
        )
        try:
            redeem_once(order=asdict(redemption))
        except _NoRedemption as ended:
            return ended.result
        except _UsedByAnotherOrder as used:
            return Result(Outcome.ALREADY_ACTIVATED, first_order=used.answer.get("order_id"))
        except (IdempotencyAlreadyInProgressError, IdempotencyInconsistentStateError) as error:
            raise TryAgain("in_progress", "this code is being activated just now") from error
        except (IdempotencyPersistenceLayerError, ClientError, BotoCoreError) as error:
            raise TryAgain("table_unavailable", f"the table {self._table} does not answer ({_cause(error)})") from error
        return Result(Outcome.ACTIVATED)

    def _begin_attempt(self, redemption: Redemption) -> Attempt:
        """This order's attempt: the one that an earlier try left behind, which may have been applied, or a new one."""
        now = datetime.now(UTC)
        before = self._dynamodb.update_item(
            TableName=self._table,
            Key=_attempt(redemption),
            UpdateExpression="SET #since = if_not_exists(#since, :now), #expiration = :expiration",
            ExpressionAttributeNames={"#since": "since", "#expiration": "expiration"},
            ExpressionAttributeValues={
                ":now": {"S": now.isoformat()},
                ":expiration": {"N": str(int((now + MEMORY).timestamp()))},
            },
            ReturnValues="ALL_OLD",
        ).get("Attributes")
        if before:
            return Attempt(datetime.fromisoformat(before["since"]["S"]), may_be_applied=True)
        return Attempt(now)

    def _end_attempt(self, redemption: Redemption) -> None:
        self._dynamodb.delete_item(TableName=self._table, Key=_attempt(redemption))


def _attempt(redemption: Redemption) -> dict[str, Any]:
    # Hashed, because a key has 2048 bytes at the most, and a code may hold whatever would stand between its parts.
    parts = json.dumps([redemption.loyalty_id, redemption.code, redemption.order_id])
    return {"id": {"S": f"attempt#{hashlib.sha256(parts.encode()).hexdigest()}"}}


def _cause(error: BaseException) -> str:
    """What AWS calls the failure, which Powertools wraps up."""
    while not isinstance(error, ClientError) and error.__cause__ is not None:
        error = error.__cause__
    return error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
