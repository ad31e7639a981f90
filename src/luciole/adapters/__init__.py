"""What is attached to a model and taken off again; never an edit of it."""
