"""``python -m ekiden``: the command ``ekiden``."""

from ekiden.cli.main import run

if __name__ == "__main__":
    run()
