"""Batches and the caches they come from; nothing is loaded before it is asked for."""
