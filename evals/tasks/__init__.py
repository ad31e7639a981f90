"""What is asked of checkpoints, and how the answers are scored."""
