"""The command line: argument parsing and printing only; the work is done in the floors below."""

from graphembed.cli._main import main

__all__ = ["main"]
