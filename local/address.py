"""Addresses of this machine's servers."""


def reachable(host: str) -> str:
    """The address by which this machine reaches a server that listens on `host`."""
    everywhere = host == "0.0.0.0"  # noqa: S104 - compared, not listened on
    return "127.0.0.1" if everywhere else host
