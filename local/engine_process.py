"""The engine's process: serves ministack on an inherited socket until its parent ends.

Started by `local.engine` in the engine's environment, as `python engine_process.py FD`, in a session of its own. The parent
holds the other end of standard input and never writes; when the parent ends or is killed, the input ends.
"""

import asyncio
import os
import shutil
import signal
import sys
import threading


def end_with_parent() -> None:
    """Wait for the parent's end, then remove the folder, and kill this process and those of the functions."""
    sys.stdin.buffer.read()
    shutil.rmtree(os.environ["TMPDIR"], ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


def main() -> None:
    """Serve on the file descriptor named by the one argument."""
    threading.Thread(target=end_with_parent, daemon=True).start()
    # After the watch has started: importing these takes a while, and the parent may end meanwhile.
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
