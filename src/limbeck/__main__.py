"""``python -m limbeck``, and the command ``limbeck``."""

import sys


def main() -> None:
    """Run the command line; Ctrl-C ends it with exit code 130 at any time, its own imports included."""
    try:
        from limbeck.cli.app import main as run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("Stopped.\n")
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
