"""Tools of an operator: diagnosis, independent recount and verification, reset and rebuild, questions to a worker."""
