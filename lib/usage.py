"""Command lines: a tool's docstring is its parser, its help and its manual; docopt made polite.

The one user of docopt. A line `<name options>` in a docstring stands for a block of options that several tools share.
"""

import os
import re
import time

from tel import __version__, exits
from tel.errors import UsageError

HIDDEN = "\0"  # before operands that may begin like options; no word of a command line holds it
SHARED = {
    "<common options>": """\
  --summary[=FORMAT]  Say on stderr, at the end, what was read, written and
                      rejected: text (the default) or json.
  --progress          Say on stderr, each second, how far it has got.
  --metrics FILE      Write the counters to FILE in the Prometheus text format.
  --max-line SIZE     Longest line to accept [default: 32M].
  -u, --unbuffered    Hand on each line at once.
  --help              Print this text.
  --version           Print the version.""",
    "<reject options>": """\
  --rejects FILE      Keep bad data in FILE, one JSON line each, and go on;
                      without it the first bad line ends the run.
  --max-bad N|P%      Exit 65 if more lines than that are bad.""",
    "<selection options>": """\
  --where NAME=VALUE  Only files whose dimension NAME has VALUE. Given again
                      for one NAME, any of the values; VALUE may be a range
                      FROM..TO, either end left out. date, app, channel,
                      version and build stand for submission_date, appName,
                      appUpdateChannel, appVersion and appBuildID.
  --filter FILE       Only files whose dimensions the schema in FILE allows.""",
    "<layout options>": """\
  --layout 2013       STORE is a tree that the 2013 server wrote, of files
                      REASON/APP/CHANNEL/VERSION/BUILD.DATE.v2.log.HASH.lzma,
                      or .xz, or .gz. A file of another name is an error.""",
    "<change options>": """\
  --grace SECONDS     How long files that are replaced stay readable for those
                      who have listed them before [default: 3600].
  --threads N         Compress in N threads; the bytes are the same
                      [default: 1].
  --memory SIZE       Memory for lines that wait to be compressed
                      [default: 256M].
  --roll-size SIZE    Compressed size at which a file is closed [default: 256M].""",
    "<sieve options>": """\
  --keyed YES|NO      Treat keyed histograms and those of other processes by
                      the same rules, or leave them as they are [default: yes].
  --unknown WHAT      What becomes of histograms that nobody defines, those
                      of add-ons too: reject, drop or keep [default: reject].""",
    "<definitions options>": """\
  --histograms DIR    The definitions cache (environment: TEL_HISTOGRAMS)
                      [default: $XDG_CACHE_HOME/tel/histograms].""",
}

_OPTION_LINE = re.compile(r"^  (-\S.*?)(?:  |$)", re.MULTILINE)
_WORD = re.compile(r"(--?[\w-]+)(\[?[= ])?([A-Z%|]+)?")


def manual(doc):
    """A tool's whole text: its docstring with the shared options written out."""
    for name, block in SHARED.items():
        doc = doc.replace(f"  {name}", block)
    return doc.strip() + "\n"


def exit_statuses():
    """The table of exit statuses as the last section of every help text."""
    return "\nExit status:\n" + "".join(f"  {status:<4}{meaning}\n" for status, meaning in exits.MEANINGS.items())


def tool_of(doc):
    """The tool's name, from the first words of its docstring.

    >>> tool_of("tel-cat - print stored records")
    'tel-cat'
    """
    return doc.split(None, 1)[0]


def options_of(doc):
    """Every option a text defines: {name: "" (a switch), "VALUE" or "[VALUE]" (the value may be left out)}.

    >>> options_of("Options:\\n  -n N, --number N  How many.\\n  --summary[=FORMAT]  Say.\\n  --help  Help.")
    {'-n': 'N', '--number': 'N', '--summary': '[FORMAT]', '--help': ''}
    """
    found = {}
    for line in _OPTION_LINE.findall(doc[doc.find("Options:") :]):
        for name, joint, value in _WORD.findall(line):
            found[name] = f"[{value}]" if (joint or "").startswith("[") else value
    return found


class Options(dict):
    """The parsed command line, with readers that name the option when its value is of the wrong form."""

    def number(self, name):
        """A whole number >= 0, or None where the option is not given."""
        text = self[name]
        if text is None:
            return None
        if not re.fullmatch("[0-9]{1,18}", text):
            raise UsageError(f"{name} takes a whole number, not {text[:40]!r}")
        return int(text)

    def count(self, name):
        """A whole number from 1 to 1000."""
        number = self.number(name)
        if not 1 <= number <= 1000:
            raise UsageError(f"{name} takes 1 to 1000, not {number}")
        return number

    def level(self, name):
        """A level of compression, 1 to 19, or None where the option is not given."""
        number = self.number(name)
        if number is not None and not 1 <= number <= 19:
            raise UsageError(f"{name} takes 1 to 19, not {number}")
        return number

    def seconds(self, name):
        """A number of seconds, from 1 to a day."""
        number = self.number(name)
        if not 1 <= number <= 86400:
            raise UsageError(f"{name} takes 1 to 86400 seconds, not {number}")
        return number

    def url(self, name):
        """The address of a web server, http or https."""
        if not re.fullmatch(r"https?://(?:[A-Za-z0-9_-]{1,63}\.?)+(?::\d{1,5})?(?:/[!-~]*)?", self[name], re.ASCII):
            raise UsageError(f"{name} takes an address like https://hg.mozilla.org, not {self[name][:80]!r}")
        return self[name]

    def one_of(self, name, words):
        """One of some words."""
        if self[name] not in words:
            raise UsageError(f"{name} takes {', '.join(words[:-1])} or {words[-1]}, not {self[name]!r}")
        return self[name]

    def layout(self):
        """The layout of a store, 2013, or None for ours."""
        if self["--layout"] not in (None, "2013"):
            raise UsageError(f"--layout takes 2013, not {self['--layout']!r}")
        return self["--layout"]

    def exclude(self, *names):
        """Raise UsageError if more than one of some options is given."""
        if sum(bool(self[name]) for name in names) > 1:
            raise UsageError(f"{' and '.join(names)} exclude each other")

    def columns(self, name):
        """How many columns text may have, 20 to 1000; without the option as many as the terminal, or 80."""
        number = self.number(name)
        if number is None:
            try:
                number = max(os.get_terminal_size(1).columns, 20)
            except OSError:
                number = 80
        if not 20 <= number <= 1000:
            raise UsageError(f"{name} takes 20 to 1000, not {number}")
        return number

    def percents(self, name):
        """Some percents between 0 and 100, with commas between."""
        words = self[name].split(",")
        if not all(re.fullmatch(r"\d{1,2}(\.\d{1,6})?", word, re.ASCII) and float(word) for word in words):
            raise UsageError(f"{name} takes percents like 5,50,99.9, not {self[name]!r:.60}")
        return [float(word) for word in words]

    def switch(self, name):
        """Whether the answer is yes, of `yes` and `no`."""
        return self.one_of(name, ("yes", "no")) == "yes"

    def size(self, name):
        """A size in bytes: `4096`, `64K`, `64M`, `1G` (powers of 1024)."""
        text = self[name]
        match = re.fullmatch(r"(\d{1,15})([KMG]?)", text, re.ASCII)
        if not match:
            raise UsageError(f"{name} takes a size like 4096, 64M or 1G, not {text[:40]!r}")
        return int(match[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[match[2]]

    def date(self, name):
        """A date as YYYYMMDD, from `20130903` or `2013-09-03`; today (UTC) where the option is not given."""
        from datetime import date  # slow to import, if less so than what strptime needs

        text = self[name]
        if text is None:
            return time.strftime("%Y%m%d", time.gmtime())
        match = re.fullmatch(r"(\d{4})(-?)(\d\d)\2(\d\d)", text, re.ASCII)
        try:
            date(*map(int, match.group(1, 3, 4)))
        except (AttributeError, ValueError):
            raise UsageError(f"{name} takes a date like 20130903 or 2013-09-03, not {text!r}") from None
        return "".join(match.group(1, 3, 4))

    def histograms(self):
        """The directory of the definitions cache."""
        from tel import revisions

        given = self["--histograms"]
        return revisions.usual_directory() if given.startswith("$XDG_CACHE_HOME") else given


def parse(doc, argv):
    """The Options of a command line. Raises UsageError that names the word it does not understand."""
    text = manual(doc)
    known = options_of(text)
    argv = _checked(known, argv)
    import docopt

    try:
        parsed = docopt.docopt(text.replace("[=FORMAT]", "=FORMAT"), argv, help=False)
    except docopt.DocoptExit:
        raise UsageError("the operands do not fit", cure=usage_section(text)) from None
    return Options((name, _shown(value)) for name, value in parsed.items())


def _shown(value):
    """What docopt found, without the mark that hid from it how an operand begins."""
    if isinstance(value, list):
        return list(map(_shown, value))
    return value.removeprefix(HIDDEN) if isinstance(value, str) else value


def usage_section(text):
    """The usage lines of a text.

    >>> usage_section("tel-x - do\\n\\nUsage:\\n  tel-x [FILE]\\n\\nMore.")
    'Usage:\\n  tel-x [FILE]'
    """
    return text[text.index("Usage:") :].split("\n\n", 1)[0]


def _checked(known, argv):
    """The arguments, with values that were left out filled in. Raises UsageError for any option not in `known`.

    docopt takes `--` itself for an operand: it goes, and what follows is marked as none of the options.
    """
    checked, rest = [], list(argv)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return checked + [HIDDEN + operand for operand in rest]
        checked.append(word)
        if word.startswith("--"):
            _check_long(known, checked, rest)
        elif word.startswith("-") and word != "-":
            _check_short(known, word, checked, rest)
    return checked


def _check_long(known, checked, rest):
    name, equals, value = checked[-1].partition("=")
    if name not in known:
        raise UsageError(f"unknown option {name}")
    if equals and not known[name]:
        raise UsageError(f"option {name} takes no value")
    if equals and not value:
        raise UsageError(f"option {name} has an empty value")
    if known[name].startswith("[") and not equals:
        checked[-1] = f"{name}=text"
    elif known[name] and not equals:
        _take_value(name, checked, rest)


def _check_short(known, word, checked, rest):
    for at, letter in enumerate(word[1:], 2):
        name = f"-{letter}"
        if name not in known:
            raise UsageError(f"unknown option {name}")
        if known[name]:
            if at == len(word):
                _take_value(name, checked, rest)
            return


def _take_value(name, checked, rest):
    if not rest:
        raise UsageError(f"option {name} needs a value")
    checked.append(rest.pop(0))
    if not checked[-1]:
        raise UsageError(f"option {name} has an empty value")


def version(tool, tier):
    """The text of --version.

    >>> version("tel-cat", "plain").split()[::2]
    ['tel-cat', '(plain']
    """
    return f"{tool} {__version__} ({tier} tier)\n"
