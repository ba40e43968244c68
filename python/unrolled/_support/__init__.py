"""Helpers for every package that no user needs: arguments, hints, files, optional imports."""
