"""The manual tells the truth: its examples give the output shown, its tables are those of the code.

A display in man/*.[157] whose lines begin with `$ ` is an example: `> ` goes on with a command, other lines are what
it prints, standard error included. `...` stands for any text within a line, and, alone, for one line or more. The
examples of one page run one after another in one shell, in an empty directory.
"""

import importlib
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from tel import exits, job, schema, usage

ROOT = pathlib.Path(__file__).parent.parent
MAN = ROOT / "man"
PAGES = sorted(MAN.glob("*.[157]"))
PROGRAMS = ("jq", "parallel", "awk", "zstdcat", "sha256sum", "gzip")
PARALLELS = {"--ungroup", "--line-buffer", "--pipe", "--sshloginfile"}  # options of another program
MARK = "--- the output of an example ends here ---"
ESCAPES = {r"\e": "\\", r"\&": "", r"\-": "-", r"\(aq": "'", r"\(dq": '"', r"\(ti": "~", r"\(ha": "^", r"\(ga": "`"}


def plain(text):
    """A line of roff source as it is shown.

    >>> plain(r"tel\\-ls \\(aqa\\(aq")
    "tel-ls 'a'"
    """
    return re.sub(r"\\(?:\(..|.)", lambda match: ESCAPES[match[0]], text)


def displays(source):
    """Yield the lines of each literal display of a page."""
    for text in re.findall(r"(?ms)^\.Bd -literal[^\n]*\n(.*?)^\.Ed$", source):
        yield [plain(line) for line in text.splitlines()]


def examples(source):
    """Yield (command, the lines it prints) of each example of a page."""
    for lines in displays(source):
        command, output = [], []
        for line in lines:
            if line.startswith("$ "):
                if command:
                    yield "\n".join(command), output
                command, output = [line[2:]], []
            elif command and not output and (line == ">" or line.startswith("> ")):
                command.append(line[2:])
            elif command:
                output.append(line)
        if command:
            yield "\n".join(command), output


def pattern(lines):
    """The regular expression of an output as it is shown."""
    return "".join(
        ".+\n(?:.*\n)*?" if line == "..." else re.escape(line).replace(re.escape("..."), ".*") + "\n" for line in lines
    )


def run(commands, folder):
    """What each command of one shell prints, and its standard error, in an empty directory."""
    script = folder.with_name(f"{folder.name}.sh")
    script.write_text("".join(f"{command}\nprintf '%s\\n' '{MARK}'\n" for command in commands), encoding="utf-8")
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        ["bash", str(script)],
        cwd=folder,
        env={**kept, "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    *outputs, rest = done.stdout.split(f"{MARK}\n")
    assert rest == "" and len(outputs) == len(commands)
    return outputs


WITH_EXAMPLES = [page for page in PAGES if any(examples(page.read_text(encoding="utf-8")))]


@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=lambda page: page.name)
def test_examples_print_what_is_shown(page, tmp_path):
    commands, expected = zip(*examples(page.read_text(encoding="utf-8")))
    text = "\n".join(commands)
    missing = [program for program in PROGRAMS if re.search(rf"\b{program}\b", text) and not shutil.which(program)]
    if missing:
        pytest.skip(f"{', '.join(missing)} missing: the examples of {page.name} are not run")
    outputs = run(commands, tmp_path)
    wrong = [
        f"$ {command}\n{output}--- is shown as:\n" + "\n".join(lines)
        for command, lines, output in zip(commands, expected, outputs)
        if not re.fullmatch(pattern(lines), output)
    ]
    assert not wrong, "\n\n".join(wrong)


def test_the_pages_of_formats_have_examples():
    formats = {"tel.7", "tel-record.5", "tel-store.5", "tel-schema.5", "tel-job.5", "tel-reject.5"}
    assert formats <= {page.name for page in WITH_EXAMPLES}


@pytest.mark.parametrize("page", [page for page in PAGES if page.suffix != ".1"], ids=lambda page: page.name)
def test_a_page_has_a_fixed_date_and_is_ascii(page):
    first = page.read_text(encoding="ascii").splitlines()
    assert first[0].startswith(".Dd ") and "$" not in first[0]
    assert first[1] == f".Dt {page.stem.upper()} {page.suffix[1:]}"


def items(page, macro):
    """The names that a page's list items define with a macro."""
    return re.findall(rf"(?m)^\.It {macro} (\S+)", (MAN / page).read_text(encoding="utf-8"))


def error_types():
    """Every error_type that the code can give."""
    source = "".join(
        path.read_text(encoding="utf-8") for path in [*(ROOT / "lib").glob("*.py"), *(ROOT / "filters").glob("*.py")]
    )
    return set(re.findall(r'BadData\(\s*"(\w+)"', source))


def test_every_reason_for_a_reject_is_explained():
    assert error_types() and set(items("tel-reject.5", "Dv")) == error_types()


def test_no_reason_has_another_meaning_in_one_section():
    source = (MAN / "tel-reject.5").read_text(encoding="utf-8")
    for section in source.split(".Sh "):
        names = re.findall(r"(?m)^\.It Dv (\S+)", section)
        assert len(names) == len(set(names))


def test_exit_statuses_are_those_of_the_library():
    section = (MAN / "tel.7").read_text(encoding="utf-8").split(".Sh EXIT STATUS")[1].split(".El")[0]
    assert {int(status): meaning for status, meaning in re.findall(r"\.It (\d+)\n(.*)", section)} == exits.MEANINGS


def test_every_tool_is_in_the_overview():
    tools = {f"tel-{path.stem}" for path in (ROOT / "filters").glob("*.py") if path.stem != "__init__"}
    assert {name for name in items("tel.7", "Xr")} == tools


def test_every_page_referred_to_is_there():
    for page in PAGES:
        for name, section in re.findall(r"(?m)^(?:\.It )?\.?Xr (tel\S*) (\d)", page.read_text(encoding="utf-8")):
            assert (MAN / f"{name}.{section}").exists(), f"{page.name} refers to {name}({section})"


PIPELINES = sorted(path for path in (ROOT / "pipelines").iterdir() if os.access(path, os.X_OK))


def options_of_pipeline(path):
    """The options that the usage text of a pipeline tells."""
    told = re.findall(r"(?m)^#   (?:-\w, )?(--[\w-]+)", path.read_text(encoding="utf-8"))
    return set(told)


@pytest.mark.parametrize("path", PIPELINES, ids=lambda path: path.name)
def test_every_option_of_a_pipeline_is_one_that_it_takes(path):
    arms = re.findall(r"(?m)^ +((?:--?[\w-]+(?: \| )?)+)\)", path.read_text(encoding="utf-8"))
    assert options_of_pipeline(path) == {word for arm in arms for word in arm.split(" | ") if re.match("--.", word)}


def test_every_pipeline_and_its_options_are_told():
    source = (MAN / "tel-pipelines.7").read_text(encoding="utf-8")
    assert set(items("tel-pipelines.7", "Ic")) == {path.name for path in PIPELINES}
    for path in PIPELINES:
        sections = re.split(r"(?m)^\.Ss |^\.Sh ", source)
        (section,) = [text for text in sections if f".D1 Ic {path.name} " in text] or [""]
        told = {plain(name) for name in re.findall(r"Fl (\\-[\w\\-]+)", section)}
        assert options_of_pipeline(path) - {"--help"} <= {f"-{name}" for name in told}, path.name


def test_every_option_that_is_mentioned_is_one_of_a_tool():
    tools = [
        importlib.import_module(f"tel.filters.{path.stem}")
        for path in (ROOT / "filters").glob("*.py")
        if path.stem != "__init__"
    ]
    known = {name for tool in tools for name in usage.options_of(usage.manual(tool.__doc__))}
    known |= {name for path in PIPELINES for name in options_of_pipeline(path)}
    for page in PAGES:
        mentioned = re.findall(r"\.(?:It )?Fl (\\-\S+)", page.read_text(encoding="utf-8"))
        assert {f"-{plain(name)}" for name in mentioned} <= known | PARALLELS, page.name


def test_every_built_in_job_is_explained():
    assert set(items("tel-job.5", "Ic")) == set(job.builtins())


def test_the_default_schema_is_the_one_shown():
    section = (MAN / "tel-schema.5").read_text(encoding="utf-8").split(".Ss Default schema")[1].split(".El")[0]
    shown = {
        name: text.replace("\n", " ").strip() for name, text in re.findall(r"\.It Va (\S+)\n((?:[^.].*\n)+)", section)
    }
    dimensions = {d["field_name"]: d["allowed_values"] for d in schema.DEFAULT["dimensions"]}
    assert shown == {name: "any" if values == schema.ANY else ", ".join(values) for name, values in dimensions.items()}


def test_variables_of_the_environment_are_all_told():
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "lib").glob("*.py"))
    used = set(re.findall(r'environ(?:\.get\(|\[)"(\w+)"', source))
    assert set(items("tel.7", "Ev")) == used


def test_the_field_maps_are_told():
    """Each name of the info of a stored unified ping, and where its value comes from, is in tel-record(5)."""
    from tel import unified

    rows = re.findall(r"^\.It Va (\w+) Ta (\S+)$", (MAN / "tel-record.5").read_text(encoding="utf-8"), re.MULTILINE)
    expected = {(name, ".".join(("application", *way))) for name, way in unified.APPLICATION.items()}
    expected |= {(name, ".".join(("environment", *way))) for name, way in unified.ENVIRONMENT.items()}
    expected |= {(name, f"...adapters[].{member}") for name, member in unified.ADAPTER.items()}
    assert expected <= set(rows)
