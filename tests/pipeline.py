"""Pipelines of real processes, of which any one can be killed."""

import subprocess
import time


class Pipeline:
    """Processes joined by pipes: `commands` are argument lists, the first reads `source` (a path or nothing)."""

    def __init__(self, commands, source=None):
        self.processes, stdin = [], open(source, "rb") if source else subprocess.DEVNULL
        for command in commands:
            process = subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            if stdin != subprocess.DEVNULL:
                stdin.close()
            self.processes.append(process)
            stdin = process.stdout

    def kill(self, victim, after):
        """SIGKILL one process after some seconds, if it still runs; returns whether it did."""
        time.sleep(after)
        alive = self.processes[victim].poll() is None
        self.processes[victim].kill()
        return alive

    def finish(self):
        """(stdout of the last process, the statuses of all) when all have ended."""
        out = self.processes[-1].communicate(timeout=120)[0]
        for process in self.processes[:-1]:
            process.stderr.read()  # to its end: a process may speak after it has closed its output
            process.stderr.close()
            process.wait(timeout=120)
        return out, [process.returncode for process in self.processes]
