"""What an operator asks for: a diagnosis, an independent recount, counting again, answers of a worker."""
