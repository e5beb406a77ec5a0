"""A Python file of the user's, run here: its functions are called so that whatever they raise names their own line."""

import os
import sys

from tel.errors import BadData, TelError, UsageError


class Script:
    """A file that has been run: its `path` and its `names`. Raises UsageError for a file that cannot be run."""

    def __init__(self, path, source):
        self.path, self.names = path, {"__name__": "job", "__file__": path}
        sys.stdout = sys.stderr  # what it prints is for its user, and no part of the answer
        sys.path.append(os.path.dirname(os.path.abspath(path)))  # for good: its functions may import, too
        try:
            self.guarded(None, lambda: exec(compile(source, path, "exec"), self.names))
        except BadData as error:
            raise UsageError(error.reason) from None

    def has(self, name):
        """Whether there is a function of this name."""
        return callable(self.names.get(name))

    def takes(self, name):
        """How many arguments a function takes, those without a default, or None if it takes any number."""
        code = getattr(self.names.get(name), "__code__", None)
        if code and code.co_argcount in (1, 4):  # as most do
            return code.co_argcount
        import inspect

        parameters = inspect.signature(self.names[name]).parameters.values()
        if any(parameter.kind == parameter.VAR_POSITIONAL for parameter in parameters):
            return None
        return sum(parameter.default is parameter.empty for parameter in parameters)

    def call(self, where, name, *arguments):
        """What a function returns. Raises BadData `job_failed`, for the place `where`, whatever it raises."""
        return self.guarded(where, self.names[name], *arguments)

    def guarded(self, where, function, *arguments):
        """The same of a function that may call those of the file.

        Errors of ours, as the suite's functions raise them for a ping that is none of theirs, stay what they are.
        """
        try:
            return function(*arguments)
        except TelError as error:
            error.where = error.where or where
            raise
        except BaseException as error:  # the code is the user's: anything can come out of it; SIGINT kills without one
            reason = f"the job failed at {self._place(error)}: {_words(error)}"
            raise BadData("job_failed", reason, where) from None

    def _place(self, error):
        """The file, and the line of it that an error came through last."""
        line, trace = 0, error.__traceback__
        if isinstance(error, SyntaxError) and error.filename == self.path:
            line, trace = error.lineno, None
        while trace:
            if trace.tb_frame.f_code.co_filename == self.path:
                line = trace.tb_lineno
            trace = trace.tb_next
        return f"{self.path}:{line}" if line else self.path


def _words(error):
    """An error's class and text; the text can fail too."""
    try:
        return f"{error.__class__.__name__}: {error}"
    except Exception:
        return error.__class__.__name__
