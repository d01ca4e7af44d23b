"""The ``workbench`` command: one module for each group of commands; may import any floor below."""

from workbench.cli.command import build_parser, main

__all__ = ["build_parser", "main"]
