"""What both functions need of Lambda and AWS: settings, secrets, clients, the REST API's requests and replies, telemetry."""

import gc

# What is made while a function starts stays there: looking for garbage among it, as often as Python does by itself, takes a
# tenth of a start and more. What is in no cycle is freed at once, as ever.
gc.set_threshold(100_000)
