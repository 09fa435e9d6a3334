"""The comparison with other systems that count words, on one topic, machine and broker."""
