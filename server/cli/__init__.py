"""The command line `genai`: a client of the platform's public API, and `genai serve`, which starts one here."""


def main() -> None:
    """The entry point that `make setup` puts on the virtual environment's path."""
    from server.cli.app import run

    run()
