"""`python -m heliograph`: the command line, where its script is not on the path."""

from heliograph.cli import main

if __name__ == "__main__":
    main()
