"""Settings: sources, types, bounds, and what depends on them alone: logins of Kafka clients, the rules of texts."""
