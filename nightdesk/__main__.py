"""`python -m nightdesk`."""

from nightdesk.cli import main

main()
