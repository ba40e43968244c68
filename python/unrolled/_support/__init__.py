"""Helpers that every package may use and no user needs: arguments, hints, files, optional imports."""
