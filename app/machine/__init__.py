"""What this machine allows the process: memory, open files, ports."""
