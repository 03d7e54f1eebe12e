"""An export on its way: read and decoded, packed and hashed, uploaded, each step beside the others.

    decode ──► pack ──► upload

A step waits for the one behind it, so that a slow S3 slows the reading and fills no memory. Packing, hashing and sockets run
outside of Python's lock: one CPU is used whole, a second one in part.
"""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, Protocol

from export_all.conveyor import Conveyor
from export_all.upload import part_bytes

if TYPE_CHECKING:
    from altcraft.export import Batch
    from export_all.formats import Encoder

BATCHES_WAITING: Final = 3
"""Batches between decoding and packing."""

PARTS_WAITING: Final = 1
"""Parts between packing and S3; one more is being filled meanwhile."""

_STOP_SECONDS: Final = 3.0


class Source(Iterable["Batch"], Protocol):
    """An export as the client gives it: complete and good only if the iteration ends by itself."""

    bytes_in: int


class Destination(Protocol):
    """Where the file goes; `export_all.upload.Upload` is one."""

    def add(self, part: bytes, /) -> None:
        """Take one more part."""

    def add_last(self, part: bytes, /) -> None:
        """Take the last part."""


class Pipeline:
    """Carries one export to its destination. It runs by itself; whoever made it waits for its end.

    The destination is left to be completed, or given up, by whoever made it.
    """

    def __init__(self, source: Source, encoder: Encoder, upload: Destination) -> None:
        self._source = source
        self._encoder = encoder
        self._upload = upload
        self._codes = self._attached = self._activated = self._expired = self._bytes_out = 0
        self._part = io.BytesIO()
        self._parts = 0
        self._sha256 = hashlib.sha256()
        self._error: BaseException | None = None
        self._ended = threading.Event()
        self._packing: Conveyor[Any] = Conveyor("pack", self._pack, BATCHES_WAITING)
        self._uploading: Conveyor[bytes] = Conveyor("upload", upload.add, PARTS_WAITING)
        threading.Thread(target=self._run, name="decode", daemon=True).start()

    def wait(self, seconds: float) -> bool:
        """Wait for the end, so long at the most; whether it came.

        Raises:
            BaseException: what ended it, if it was not the export's own end.
        """
        ended = self._ended.wait(max(seconds, 0))
        if ended and self._error:
            raise self._error
        return ended

    def stop(self) -> None:
        """End soon. What hangs in a socket is left behind and takes no part in anything any more."""
        self._packing.stop()
        self._uploading.stop(_STOP_SECONDS)

    def counts(self) -> dict[str, int]:
        """What has gone through so far, by the names of the manifest's fields."""
        return {
            "codes": self._codes,
            "attached": self._attached,
            "activated": self._activated,
            "expired": self._expired,
            "bytes_in": self._source.bytes_in,
            "bytes_out": self._bytes_out,
        }

    def sha256(self) -> str:
        """The whole object's SHA-256, in hex; once it has ended."""
        return self._sha256.hexdigest()

    def _run(self) -> None:
        try:
            for batch in self._source:
                self._packing.put(self._encoder.shape(batch))
                self._codes += len(batch)
                self._attached += batch.attached
                self._activated += batch.activated
                self._expired += batch.expired
            self._packing.close()
            self._keep(self._encoder.end())
            self._uploading.close()
            self._upload.add_last(self._part.getvalue())
        except BaseException as error:
            self._error = error
        finally:
            self._ended.set()

    def _pack(self, shaped: Any) -> None:
        self._keep(self._encoder.pack(shaped))

    def _keep(self, packed: bytes) -> None:
        self._sha256.update(packed)
        self._bytes_out += len(packed)
        self._part.write(packed)
        if self._part.tell() >= part_bytes(self._parts + 1):
            part = self._part.getvalue()  # its own buffer, and no copy: the next one gets another
            self._part = io.BytesIO()
            self._parts += 1
            self._uploading.put(part)
