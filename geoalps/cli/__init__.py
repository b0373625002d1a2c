"""The shell: one file per command; each parses, calls one stage and prints."""

from geoalps.cli.main import main

__all__ = ["main"]
