"""`python -m ops`: the operators' command. `--help` lists what it does; the make targets run it with their variables."""

import sys

from ops import interruption

if __name__ == "__main__":
    # Before anything that takes time to import, so that Ctrl-C is one line at any moment.
    interruption.leave_at_once(sys.argv[1:2])

    from ops import terminal
    from ops.commands import main

    terminal.keep_numbers()
    main(prog_name="python -m ops")
