"""Slow, independent counters, and comparisons of results with what they count."""
