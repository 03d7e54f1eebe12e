"""The process in which moto serves AWS: `python -m local.moto_process HOST`. Prints the port it listens on.

A process of its own, because moto's work would otherwise hold up the gateway's threads.
"""

import logging
import sys
import threading

from moto.moto_server.threaded_moto_server import ThreadedMotoServer

from local.lifeline import end_with_parent


def main(host: str) -> None:
    """Serve until the parent ends this process."""
    end_with_parent()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(host, port=0, verbose=False)
    server.start()
    print(server.get_host_and_port()[1], flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1])
