"""`python -m streams.cli`: the command `ringfence` of this interpreter."""

from streams.cli.main import main

main()
