"""The command ``unrolled``: its commands and their options."""

from __future__ import annotations

from unrolled.cli import layer_commands
from unrolled.cli.commands import main
from unrolled.cli.search import search_command
from unrolled.cli.thermo import thermo_command

__all__ = ["layer_commands", "main", "search_command", "thermo_command"]
