import signal
import sys

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # the imports take a second: end without a word

from steglib.tool.commands import main

if __name__ == "__main__":
    sys.exit(main())
