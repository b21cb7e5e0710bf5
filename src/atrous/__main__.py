"""`python -m atrous` is the command line."""

from atrous.cli import main

if __name__ == "__main__":
    main()
