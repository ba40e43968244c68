"""Graphs, tables, files and models written out by hand, which several tests use."""
