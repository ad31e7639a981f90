"""The parts of `evals.bench.storm`."""
