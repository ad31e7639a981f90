"""Where tenants want to hear of the ends of their jobs."""
