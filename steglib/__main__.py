import sys

from steglib.cli import main

sys.exit(main())
