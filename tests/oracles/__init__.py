"""Slow, independent counters that results are compared with; nothing of the engines is used."""
