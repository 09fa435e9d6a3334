"""Limits of this machine for the process: memory, open files, ports."""
