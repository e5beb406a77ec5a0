"""A pipeline of the suite's own tools in one process: records go from stage to stage as they are, not as text.

Each stage is the tool itself, with its options, its rejects, its counters and its end records; it fails, and its
neighbours go on, as in a pipe. With several workers, forked copies of all stages are fed with blocks of lines; what
they hand back is counted, rejected and vouched for as if one process had done it.
"""

import importlib
import re
import shlex
from collections import namedtuple

from tel import exits, heap, usage
from tel.errors import UsageError
from tel.stage import Stage
from tel.streams import STDIN

# The parts of a command line: quoted, escaped, operators of a shell, all else, and a quote that nothing ends.
PART = re.compile(r"""'[^']*'|"(?:\\.|[^"\\])*"|\\.|[|&;<>()]+|[^'"\\|&;<>()]+|.""", re.DOTALL)
OPERATORS = "|&;<>()"
SHARED = ("tel-resolve", "tel-validate", "tel-convert")  # tools whose work several processes can share
SINK = "tel-persist"  # may end them; it recognises a batch by its lines in their order

Command = namedtuple("Command", "tool module options")  # the Options, or the UsageError that they are


def parsed(text):
    """The Commands of a pipeline, as a shell would be given it. Raises UsageError."""
    commands = [_command(words) for words in _split(text)]
    for command in commands[1:]:
        if not _reads_input(command.options):
            raise UsageError(f"{command.tool} does not read what the tool before it hands on")
    return commands


def _split(text):
    """The words of each command.

    >>> _split("tel-cat 'a | b' | tel-ls")
    [['tel-cat', 'a | b'], ['tel-ls']]
    """
    commands = [""]
    for part in PART.findall(text):
        if part == "|":
            commands.append("")
        elif part[0] in OPERATORS:
            raise UsageError(f"a pipeline of tools has no {part!r}; quote it if it belongs to a word")
        else:
            commands[-1] += part
    try:
        return [shlex.split(command) for command in commands]
    except ValueError as error:
        raise UsageError(f"the pipeline cannot be read: {error}") from None


def _command(words):
    if not words:
        raise UsageError("a stage of the pipeline is empty")
    tool, *arguments = words
    name = tool[4:].replace("-", "_") if tool.startswith("tel-") else ""
    try:
        if name == "chain" or not name.isidentifier():
            raise ImportError
        module = importlib.import_module(f"tel.filters.{name}")
    except ImportError:
        raise UsageError(f"{tool[:60]!r} is no tool that a chain can run") from None
    try:
        options = usage.parse(module.__doc__, arguments)
    except UsageError as error:
        return Command(tool, module, error)
    for name in ("--help", "--version"):
        if options[name]:
            raise UsageError(f"{tool} {name} is no stage of a pipeline")
    return Command(tool, module, options)


def _reads_input(options):
    """Whether a tool with these options reads standard input; one that cannot begin does no harm."""
    if isinstance(options, UsageError):
        return True
    if options.get("--files-from"):
        return options["--files-from"] == STDIN
    files = options.get("FILE")
    return files is not None and (not files or STDIN in files)


def _check_shared(names):
    """Raise UsageError for tools whose work several processes cannot share."""
    for name in names[:-1] if names[-1] == SINK else names:
        if name not in SHARED:
            raise UsageError(f"-j: several processes cannot share the work of {name}", cure="leave out -j")


def run(commands, count=1, ordered=False):
    """Run a pipeline of Commands; the exit status is that of the last stage that failed, or 0."""
    heap.hold()
    if count > 1:
        _check_shared([command.tool for command in commands])
    stages = [None]
    for number, command in enumerate(commands, 1):
        stages.append(Stage(*command, stages[-1], number == len(commands)))
    del stages[0]
    if count > 1 and _is_shared(stages):
        is_sink = commands[-1].tool == SINK
        if is_sink and stages[-1].options["--threads"] == "1":
            stages[-1].options["--threads"] = str(count - 1)  # beside two workers this process has time to compress
        from tel import crew  # slow to import

        foreman = crew.Crew(stages, count, ordered or is_sink)
        for stage in stages:
            stage.join(foreman)
    stages[-1].run()
    for stage in stages:
        stage.stop()
    return next((stage.status for stage in reversed(stages) if stage.status), exits.OK)


def _is_shared(stages):
    """Whether there is work for workers: all stages have begun, and each has something to hand on."""
    return all(stage.begun for stage in stages) and not any(stage.options.get("--check") for stage in stages[:-1])
