"""Run a command of bash in this folder, and write what it used as JSON to a file: `timed.py FILE COMMAND`.

`cpu` and `wall` are seconds, `rss` the peak memory in bytes of its largest process; all count the processes that it
waited for. A program of its own, and a small one: what a process is forked from counts as its memory.
"""

import json
import os
import sys
import time


def main(path, command):
    started = time.monotonic()
    pid = os.fork()
    if not pid:
        os.execvp("bash", ["bash", "-ec", f"set -o pipefail; {command}"])
    _, status, usage = os.wait4(pid, 0)
    used = {"cpu": usage.ru_utime + usage.ru_stime, "wall": time.monotonic() - started, "rss": usage.ru_maxrss * 1024}
    with open(path, "w", encoding="ascii") as file:
        json.dump(used, file)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
