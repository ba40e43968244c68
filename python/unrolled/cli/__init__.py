"""The command ``unrolled``: its commands and their options."""

from __future__ import annotations

from unrolled.cli import layer_commands
from unrolled.cli.commands import main

__all__ = ["layer_commands", "main"]
