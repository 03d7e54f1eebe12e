"""The steps of an export, which run at the same time: the reply is read and decoded, packed and hashed, and uploaded.

    decode ──► pack ──► upload

A step waits for the one after it, so that a slow S3 slows the reading instead of filling the memory. Packing, hashing and
sockets run outside of Python's lock: one CPU is used fully, a second one in part.
"""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, Protocol

from export_all.bounded_worker import BoundedWorker
from export_all.upload import part_bytes

if TYPE_CHECKING:
    from altcraft.export import Batch
    from export_all.formats.registry import Encoder

BATCHES_WAITING: Final = 3
"""Batches between decoding and packing."""

PARTS_WAITING: Final = 1
"""Parts between packing and S3; one more is being filled meanwhile."""

_STOP_SECONDS: Final = 3.0

_BLOCK_SECONDS: Final = 1.0
"""Far more than decoding one block takes: a decoder that needs longer waits for its socket."""


class Source(Iterable["Batch"], Protocol):
    """An export as the client returns it: complete and good only if the iteration ends without an exception."""

    bytes_in: int


class Destination(Protocol):
    """Where the file goes; `export_all.upload.Upload` is one."""

    def add(self, part: bytes, /) -> None:
        """Take one more part."""

    def add_last(self, part: bytes, /) -> None:
        """Take the last part."""


class Pipeline:
    """Carries one export to its destination, in threads of its own. The caller waits for its end, and then completes the
    destination, or aborts it."""

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
        self._packing: BoundedWorker[Any] = BoundedWorker("pack", self._pack, BATCHES_WAITING)
        self._uploading: BoundedWorker[bytes] = BoundedWorker("upload", upload.add, PARTS_WAITING)
        threading.Thread(target=self._run, name="decode", daemon=True).start()

    def wait(self, seconds: float) -> bool:
        """Wait for the end, for `seconds` at the most; whether it came.

        Raises:
            BaseException: what ended it, if it was not the export's own end.
        """
        ended = self._ended.wait(max(seconds, 0))
        if ended and self._error:
            raise self._error
        return ended

    def stop(self) -> None:
        """End soon. A thread that hangs in a socket is abandoned, and what it still does has no effect."""
        self._packing.stop()
        self._uploading.stop(_STOP_SECONDS)
        # A process that ends while RE2 runs in another thread aborts.
        self._ended.wait(_BLOCK_SECONDS)

    def counts(self) -> dict[str, int]:
        """The counts so far, by the names of the manifest's fields."""
        return {
            "codes": self._codes,
            "attached": self._attached,
            "activated": self._activated,
            "expired": self._expired,
            "bytes_in": self._source.bytes_in,
            "bytes_out": self._bytes_out,
        }

    def sha256(self) -> str:
        """The SHA-256 of the complete object, in hex; valid once the pipeline has ended."""
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
            part = self._part.getvalue()  # the buffer itself, not a copy: the next part gets a new one
            self._part = io.BytesIO()
            self._parts += 1
            self._uploading.put(part)
