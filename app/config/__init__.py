"""Settings: sources, types and bounds, and what follows from settings alone: logins of Kafka clients, how text is read."""
