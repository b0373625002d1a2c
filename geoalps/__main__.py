"""``python -m geoalps``: the same as the command ``geoalps``."""

from geoalps.cli import main

main(prog_name="geoalps")
