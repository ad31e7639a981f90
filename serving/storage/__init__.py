"""What outlives a process: rows in SQL, files in an object store."""
