"""``python -m kvstore``: the command line, where the package is not installed."""

from kvstore.cli.main import main

if __name__ == "__main__":
    main(prog_name="kvstore")
