"""How exports are reported while they run and when they end: to the log and the metrics, unless another watcher is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from lambda_support.telemetry import Metric, count, logger

if TYPE_CHECKING:
    from export_all.manifest import Manifest


class Watcher(Protocol):
    """What reports how exports go."""

    def progressed(self, export_id: str, counts: dict[str, int]) -> None:
        """The counts so far, at each progress interval."""

    def ended(self, manifest: Manifest) -> None:
        """The end, succeeded or failed; once for each export."""

    def suspected(self, manifest: Manifest) -> None:
        """A whole export has too few codes, and `latest` does not move to it."""

    def finished(self, manifest: Manifest) -> None:
        """The manifest is final, and `latest` has followed where it could; again for each run that finds it so."""


class Telemetry:
    """Reports to the log and the metrics."""

    def progressed(self, export_id: str, counts: dict[str, int]) -> None:
        """The counts so far, as a line of the log."""
        logger.info("Exporting", extra={"export_id": export_id, **counts})

    def ended(self, manifest: Manifest) -> None:
        """The end, as metrics."""
        count(Metric.EXPORTS, status=manifest.status)
        if manifest.error is not None and manifest.error["type"] == "token_refused":
            count(Metric.TOKEN_REFUSED)
        if manifest.status == "succeeded":
            count(Metric.EXPORT_CODES, manifest.codes)
            for state, codes in manifest.states.items():
                count(Metric.EXPORT_STATES, codes, loyalty_id=str(manifest.loyalty_id), state=state)
            count(Metric.EXPORT_BYTES, manifest.bytes_out)
            count(Metric.EXPORT_SECONDS, manifest.seconds)
            logger.info("The export succeeded", export_id=manifest.export_id, codes=manifest.codes, key=manifest.key)

    def suspected(self, manifest: Manifest) -> None:
        """`latest` was kept where it is, as a metric for the alarm."""
        count(Metric.SUSPECT_EXPORTS)
        logger.warning(
            "The export is suspect, and latest stays where it is",
            export_id=manifest.export_id,
            loyalty_id=manifest.loyalty_id,
            codes=manifest.codes,
        )

    def finished(self, manifest: Manifest) -> None:
        """Without an event bus there is nobody else to hear of it."""
