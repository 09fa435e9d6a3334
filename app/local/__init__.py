"""An embedded Kafka and a worker as child processes on this machine, and a text to count: for `wordcount run`, tests and bench."""
