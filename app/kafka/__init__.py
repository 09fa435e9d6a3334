"""Apache Kafka as a child process for the demo and the tests: `jars` brings it, `embedded` runs it."""
