"""Lambda and AWS, as both functions use them: settings, secrets, clients, the REST API's requests and replies, telemetry."""

import gc

# The objects of a cold start live on: searching them for garbage as often as Python does by default takes a tenth of the start
# and more. Objects outside of reference cycles are still freed at once.
gc.set_threshold(100_000)
