"""``python -m musiczoo`` is the `musiczoo` command."""

from .cli import main

if __name__ == "__main__":
    main()
