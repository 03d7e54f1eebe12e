"""Which good export of a program is the newest. `latest` names it, and never goes backwards.

It does not move to an export that has no codes, or far fewer than the one it names, unless that export says `accept_fewer`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from export_all.keys import export_id_in
from export_all.manifest import Manifest, UnreadableManifest, too_few
from export_all.manifest_store import MOST_TRIES, ManifestStore, Stored, Unsettled
from lambda_support.telemetry import logger

if TYPE_CHECKING:
    from export_all.telemetry import Watcher

LATEST_MINIMUM_PERCENT: Final = 50


class Latest:
    """Moves `latest`.

    Args:
        store: the manifests.
        least_percent: an export with fewer codes than this percentage of what `latest` has is suspect.
        watcher: reports suspect exports.
    """

    def __init__(self, store: ManifestStore, least_percent: int, watcher: Watcher) -> None:
        self._store = store
        self._least_percent = least_percent
        self._watcher = watcher

    def judged(self, manifest: Manifest) -> Manifest:
        """A whole export's manifest, judged whether it is suspect compared with what `latest` has now."""
        try:
            newest = self._store.find_latest(manifest.loyalty_id)
        except UnreadableManifest as error:
            # Without anything to compare with nothing is certain, and what is there is not ours to replace unasked.
            logger.error(str(error), export_id=manifest.export_id)
            return replace(manifest, suspect=True)
        return self._compared(manifest, newest)

    def _compared(self, manifest: Manifest, newest: Stored | None) -> Manifest:
        before = newest.manifest if newest else None
        return replace(manifest, suspect=manifest.suspect or too_few(manifest.codes, before, self._least_percent))

    def settled(self, manifest: Manifest, *, accept_fewer: bool = False) -> Manifest:
        """A good export, once `latest` has moved to it where it should; its manifest, which may say suspect only now.

        Args:
            manifest: of an export that has succeeded.
            accept_fewer: the caller accepts it, even if it is suspect.
        """
        if accept_fewer and not manifest.accept_fewer:
            manifest = self._store.amend(manifest.export_id, accept_fewer=True)
        if manifest.withheld or self.publish(manifest, over_unreadable=accept_fewer):
            return manifest
        stored = self._store.find(manifest.export_id)
        return stored.manifest if stored else manifest

    def publish(self, manifest: Manifest, *, over_unreadable: bool = False) -> bool:
        """Make a good export the newest one of its program, unless a newer one is, or it is suspect; whether it is now.

        Args:
            manifest: of an export that has succeeded.
            over_unreadable: replace `latest` also where it cannot be read, and may have named a newer export.
        """
        for _ in range(MOST_TRIES):
            try:
                stored = self._store.find_latest(manifest.loyalty_id)
            except UnreadableManifest as error:
                logger.error(str(error), export_id=manifest.export_id)
                if not over_unreadable:
                    return False
                judged, condition = replace(manifest, suspect=True), {}
            else:
                if stored is not None and stored.manifest.age >= manifest.age:
                    return stored.manifest.export_id == manifest.export_id
                # Judged again by the object that the condition names: another export may have moved `latest` since.
                judged = self._compared(manifest, stored)
                condition = {"IfMatch": stored.etag} if stored else {"IfNoneMatch": "*"}
            if judged.withheld:
                if not manifest.suspect:
                    self._store.amend(manifest.export_id, suspect=True)
                    self._watcher.suspected(judged)
                return False
            if self._store.write_latest(judged, **condition):
                return True
        raise Unsettled(f"latest of program {manifest.loyalty_id}")

    def catch_up(self, loyalty_id: int) -> None:
        """Move `latest` to the newest good export, where the run of that one could not write it.

        Raises:
            UnreadableManifest: something else is in a manifest's place.
            AWS_ERRORS: S3 does not say, or `latest` still cannot be written.
        """
        newest = self._store.find_latest(loyalty_id)
        day = f"{newest.manifest.age[0]:%Y-%m-%d}" if newest else ""
        later = [(export_id_in(key), key) for key in self._store.data_keys(loyalty_id, day)]
        for export_id, key in sorted(later, reverse=True):
            stored = self._store.find(export_id)
            if stored is None:  # the object of a run that goes on, or was killed
                continue
            manifest = stored.manifest
            good = manifest.key == key and manifest.status == "succeeded" and not manifest.withheld
            if good and self.publish(manifest):
                return
