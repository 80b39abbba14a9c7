"""The program ``upnext``, which is the same command line as the one that Cargo installs."""

from __future__ import annotations

import signal
import sys

from . import _upnext


def main() -> int:
    """Runs the command line on the arguments of the process."""
    # The program has a handler of its own for Ctrl-C.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return _upnext.main(sys.argv[1:], [sys.executable, "-m", "upnext"])


if __name__ == "__main__":
    sys.exit(main())
