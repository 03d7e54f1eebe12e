"""The engine's process: serves ministack on a socket that it is given, until its parent is gone.

Started by `local.engine` in the engine's environment, as `python engine_process.py FD`, in a session of its own. The parent
holds the other end of standard input and never writes; when it ends, be it killed, that input ends too.
"""

import asyncio
import os
import shutil
import signal
import sys
import threading


def end_with_parent() -> None:
    """Wait for the parent's end, then remove what was written and end this process and its functions'."""
    sys.stdin.buffer.read()
    shutil.rmtree(os.environ["TMPDIR"], ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


def main() -> None:
    """Serve on the file descriptor named by the one argument."""
    threading.Thread(target=end_with_parent, daemon=True).start()
    # It takes a while to import these, and the parent may end meanwhile.
    from hypercorn.asyncio import serve
    from hypercorn.config import Config
    from ministack.app import app

    config = Config()
    config.bind = [f"fd://{sys.argv[1]}"]
    config.keep_alive_timeout = 75  # longer than the SDKs keep theirs
    config.loglevel = os.environ["LOG_LEVEL"]
    asyncio.run(serve(app, config))


if __name__ == "__main__":
    main()
