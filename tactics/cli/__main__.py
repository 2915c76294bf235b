"""`python -m tactics.cli`: the command line where `tactics` itself is not on the path."""

from tactics.cli import main

if __name__ == "__main__":
    main()
