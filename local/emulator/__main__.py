"""Run the emulator by itself: `python -m local.emulator`, with HOST, PORT (default 8080) and ALTCRAFT_TOKEN."""

import os
import signal
import threading

from local.emulator import Emulator, Settings


def main() -> None:
    """Serve until Ctrl-C or SIGTERM."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    settings = Settings()
    if token := os.environ.get("ALTCRAFT_TOKEN"):
        settings = Settings(tokens=frozenset({token}))
    host, port = os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", "8080"))
    with Emulator(settings, host=host, port=port) as emulator:
        print(f"the emulated Altcraft serves {emulator.url}; its control routes: {emulator.url}/_emulator", flush=True)
        stop.wait()


if __name__ == "__main__":
    main()
