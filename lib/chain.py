"""A pipeline of the suite's own tools in one process: records go from stage to stage as they are, not as text.

Each stage is the tool itself, with its options, its rejects, its counters and its end records; it fails, and its
neighbours go on, as in a pipe. With several workers, forked copies of all stages but the sink are fed with blocks of
lines; what they hand back is counted, rejected and vouched for as if one process had done it.
"""

import gc
import importlib
import shlex

from tel import crew, exits, usage
from tel.errors import UsageError
from tel.stage import Stage

OPERATORS = "|&;<>()"  # of a shell
SHARED = ("tel-resolve", "tel-validate", "tel-convert")  # tools whose work several processes can share


def parsed(text):
    """[(tool, its module, its Options), ...] of a pipeline as a shell would be given it. Raises UsageError."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars=OPERATORS)
    lexer.whitespace_split, lexer.commenters = True, ""
    commands = [[]]
    try:
        for word in lexer:
            if word == "|":
                commands.append([])
            elif word and set(word) <= set(OPERATORS):
                raise UsageError(f"a pipeline of tools has no {word!r}; quote it if it belongs to a word")
            else:
                commands[-1].append(word)
    except ValueError as error:
        raise UsageError(f"the pipeline cannot be read: {error}") from None
    return [_stage(command) for command in commands]


def _stage(command):
    if not command:
        raise UsageError("a stage of the pipeline is empty")
    tool, *arguments = command
    name = tool[4:].replace("-", "_") if tool.startswith("tel-") else ""
    try:
        if name == "chain" or not name.isidentifier():
            raise ImportError
        module = importlib.import_module(f"tel.filters.{name}")
    except ImportError:
        raise UsageError(f"{tool[:60]!r} is no tool that a chain can run") from None
    try:
        return tool, module, usage.parse(module.__doc__, arguments)
    except UsageError as error:
        raise UsageError(f"{tool}: {error.reason}", cure=error.cure) from None


def _check_shared(names):
    """Raise UsageError for tools whose work several processes cannot share; tel-persist may end the chain."""
    for name in names[:-1] if names[-1] == "tel-persist" else names:
        if name not in SHARED:
            raise UsageError(f"-j: several processes cannot share the work of {name}", cure="leave out -j")


def run(commands, count=1, ordered=False):
    """Run a pipeline, (tool, module, Options) each; the exit status is that of the last stage that failed, or 0."""
    gc.set_threshold(100_000, 50, 50)  # records hold no cycles: what is left to collect is little
    if count > 1:
        _check_shared([tool for tool, _, _ in commands])
    stages = []
    for at, (tool, module, options) in enumerate(commands):
        stages.append(Stage(tool, module, options, stages[-1] if stages else None, at == len(commands) - 1))
    if count > 1:
        foreman = crew.Crew(stages, count, ordered)
        for stage in stages:
            stage.crew = foreman
    stages[-1].run()
    return next((stage.status for stage in reversed(stages) if stage.status), exits.OK)
