"""``python -m service``: the command ``nightjar`` where its script is not on the path."""

from service.cli.app import main

if __name__ == "__main__":
    main()
