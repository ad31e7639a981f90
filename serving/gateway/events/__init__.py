"""What happens to jobs, told over websockets and server-sent events."""
