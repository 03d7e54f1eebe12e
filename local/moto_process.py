"""The process in which moto serves AWS: `python -m local.moto_process HOST`. Prints the port it listens on.

A process of its own, because moto's work would otherwise hold up the gateway's threads.
"""

import sys
import threading

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from local.http import Server
from local.lifeline import end_with_parent
from local.moto_mends import mend
from local.wsgi import serve_wsgi


def main(host: str) -> None:
    """Serve until the parent ends this process."""
    end_with_parent()
    mend()
    server = Server(serve_wsgi(DomainDispatcherApplication(create_backend_app)), host).start()
    print(server.port, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1])
