"""Who draws: an exported bundle, a folder of weights, or nobody (real renders)."""
