"""Other word counts on the same topic, machine and broker."""
