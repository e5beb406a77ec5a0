"""Programs that stand in for a tool on PATH, and fail as a broken machine would."""

import os
import shutil

# Each is a bash script; $real is the tool itself, "$@" its arguments, $mark a file that is there after the first run.
HALF = 'out=$("$real" "$@"; echo .); out=${out%.}; printf %s "${out:0:$((${#out} / 2))}"'
KILLED = f"{HALF}; kill -KILL $$"
SHORT = HALF  # half of the output, and no word of it
HANGING = f"{HALF}; kill -STOP $$"
FULL = '"$real" "$@" > /dev/full'
# The connection is cut: of the processes above, the first of sshd is the one that serves this session alone.
CUT = (
    HALF
    + """
process=$$
until [[ $(< /proc/$process/comm) == sshd* ]]; do
    read -r _ _ _ process _ < /proc/$process/stat && [ $process -gt 1 ] || exit 1 # nobody is left above
done
kill -KILL $process"""
)
OTHER_VERSION = 'echo "tel-map 0.0.9 (plain tier)"'  # for replace(..., version="asked")


def once(script):
    """A script's failure at the first run only."""
    return f'if ln -s x "$mark" 2> /dev/null; then {script}; else exec "$real" "$@"; fi'


def replace(folder, tool, script, version=""):
    """Put a script named as a tool into a folder, which is made; returns the folder as text.

    The script sees `--version` only where `version` is not empty.
    """
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, tool)
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"#!/usr/bin/env bash\nreal={shutil.which(tool)} mark='{path}.mark' version={version}\n")
        file.write(f'[ "$1" != --version ] || [ -n "$version" ] || exec "$real" "$@"\n{script}\n')
    os.chmod(path, 0o755)
    return str(folder)


def environment(folder):
    """An environment in which the programs of a folder come first."""
    return {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
