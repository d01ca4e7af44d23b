"""``python -m workbench.cli``."""

from workbench.cli.command import main

main()
