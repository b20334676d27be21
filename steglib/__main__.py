"""`python -m steglib COMMAND`: the commands for people and those for who studies, as one."""

import argparse
import signal
import sys
import threading

import steglib


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns its exit code, see `tool.commands.EXIT_CODES`."""
    ends_by = signal.getsignal(signal.SIGINT)
    if ends_by is signal.default_int_handler:
        _on(signal.SIGINT, signal.SIG_DFL)  # the imports take a second: end without a word
    from steglib import workers
    from steglib.research.commands import add_commands as add_research
    from steglib.tool.commands import add_commands, run

    parser = argparse.ArgumentParser(prog="steglib", description=steglib.__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_commands(commands)
    add_research(commands)
    options = parser.parse_args(arguments)
    if ends_by in (signal.default_int_handler, signal.SIG_DFL):
        _on(signal.SIGINT, signal.default_int_handler)
    for number in workers.ENDS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup makes it
            _on(number, lambda number, _: sys.exit(128 + number))  # cleaning up
    return run(options)


def _on(number, handler):
    """Handles a signal: only the main thread may say how."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main())
