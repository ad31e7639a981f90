"""What was found: for the terminal, for programs, for people."""
