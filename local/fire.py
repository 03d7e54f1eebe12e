"""`make schedule`: fire the schedules of the stack that `make local` runs. Environment: PORT, or URL."""

import os
import sys

import requests

from local.front import CONTROL
from local.running import NotRunning, address, find


def main() -> None:
    """Fire every schedule and print each invocation's request id."""
    url = address(os.environ)
    try:
        for name in find(url)["schedules"]:
            reply = requests.post(f"{url}{CONTROL}/schedules/{name}", timeout=30)
            print(name, reply.status_code, reply.text)
    except (NotRunning, requests.RequestException) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
