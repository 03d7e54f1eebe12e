"""What both functions need of Lambda and AWS: settings, secrets, clients, the REST API's requests and replies, telemetry."""
