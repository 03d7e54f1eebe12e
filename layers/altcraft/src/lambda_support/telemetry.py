"""Logs and metrics of both functions: JSON log lines, and CloudWatch's embedded metric format, both by Powertools.

Every metric is named here and nowhere else; template.yaml's dashboard and alarms use these names.

Whatever the log level, libraries log nothing below INFO: there botocore logs complete replies, including Secrets Manager's.
"""

from __future__ import annotations

import logging
import os
from enum import StrEnum
from typing import Final

from aws_lambda_powertools import Logger, single_metric
from aws_lambda_powertools.metrics import MetricUnit

_LEAST_LEVELS: Final = {
    "": logging.INFO,  # the root's level applies to loggers without one; Lambda sets it to the level of the template
    "boto3": logging.INFO,
    "botocore": logging.INFO,
    "requests": logging.INFO,
    "urllib3": logging.INFO,
    "urllib3.connection": logging.ERROR,  # its warning of a broken header quotes the header
}
"""The lowest levels of loggers other than ours. Those that see secrets are listed in addition to the root, so that code
that lowers the root's level afterwards does not lower theirs."""

for _name, _level in _LEAST_LEVELS.items():
    _library = logging.getLogger(_name)
    _library.setLevel(max(_library.level, _level))

logger: Final = Logger(utc=True)


class Metric(StrEnum):
    """A metric's name, and its dimensions: closed sets, so that their number stays small."""

    ACTIVATIONS = "Activations"
    """Activations that ended, by `outcome`."""
    REVERSALS = "Reversals"
    """Reversals that ended, by `outcome`."""
    DOUBLE_REDEMPTIONS = "DoubleRedemptions"
    """Orders with a code that another order had used."""
    TOKEN_REFUSED = "TokenRefused"  # noqa: S105 - a metric's name
    """Calls that Altcraft refused because of the token."""
    ALTCRAFT_FAILING = "AltcraftFailing"
    """Tries without an outcome because Altcraft did not answer, or its answer was not about the code."""
    RETRIES = "Retries"
    """Tries without an outcome, of the queue and of the API, lookups too, by `reason`."""
    DEAD_LETTERED = "DeadLettered"
    """Messages given up after a day of retries, by `reason`."""
    MESSAGE_AGE = "MessageAge"
    """Seconds since an order's webhook, recorded at each try of its code; the maximum is the longest wait."""
    INTAKE = "Intake"
    """Webhook deliveries, by `source` and `result`."""
    NOT_UNDERSTOOD = "NotUnderstood"
    """Authentic deliveries that were not understood, from sources of which the sandbox has understood no delivery yet."""
    DROPPED_CODES = "DroppedCodes"
    """Values in paid orders that were not queued as codes, by `source` and `reason`."""
    EVENTS_NOT_SENT = "EventsNotSent"
    """Events that the bus did not accept, at each try."""
    UNREADABLE_CHANGES = "UnreadableChanges"
    """Changes of the ledger that gave no event, because the item is not as the ledger writes it."""
    EXPORTS = "Exports"
    """Export runs that ended, by `status`."""
    SUSPECT_EXPORTS = "SuspectExports"
    """Complete exports with too few codes, to which `latest` did not move."""
    EXPORT_CODES = "ExportCodes"
    """Codes in an export."""
    EXPORT_STATES = "ExportStates"
    """Codes in an export of the program `loyalty_id`, by `state`: all of them, and those attached, activated, expired."""
    EXPORT_BYTES = "ExportBytes"
    """Bytes of an export's data object."""
    EXPORT_SECONDS = "ExportSeconds"
    """Seconds that an export took."""


_NAMESPACE: Final = os.environ.get("POWERTOOLS_METRICS_NAMESPACE", "AltcraftPromocodes")
"""The template gives each stack its own, so that two stacks in one account do not mix."""

_UNITS: Final = {
    Metric.MESSAGE_AGE: MetricUnit.Seconds,
    Metric.EXPORT_BYTES: MetricUnit.Bytes,
    Metric.EXPORT_SECONDS: MetricUnit.Seconds,
}


def count(metric: Metric, value: float = 1, **dimensions: str) -> None:
    """Record a metric now, by its dimensions."""
    unit = _UNITS.get(metric, MetricUnit.Count)
    with single_metric(name=metric, unit=unit, value=value, namespace=_NAMESPACE) as recorded:
        for name, text in dimensions.items():
            recorded.add_dimension(name=name, value=text)
