"""What is requested for a code of an order: by the API, by a direct event, or by a message of the queue.

A module of its own, so that a webhook's cold start loads nothing else for it.
"""

from enum import StrEnum


class Action(StrEnum):
    """What is requested for a code of an order."""

    ACTIVATE = "activate"
    DEACTIVATE = "deactivate"
    """The order gives the code back."""
