"""Run a command and write its peak memory in KiB to a file: `peak.py FILE COMMAND...`; the status is the command's.

A process of its own, and a small one: what a process is forked from counts as its memory until it starts a program.
"""

import os
import sys


def main(path, *command):
    pid = os.fork()
    if not pid:
        os.execvp(command[0], command)
    _, status, usage = os.wait4(pid, 0)
    with open(path, "w", encoding="ascii") as file:
        file.write(str(usage.ru_maxrss))
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
