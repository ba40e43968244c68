"""Graphs and models that are counted, in all sizes."""
