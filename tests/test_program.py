"""Programs as maps: what they get, what is taken from them, and that none fails unheard."""

import json
import lzma
import os
import shutil

import pytest

from tel import ends, program
from tel.errors import BadData

RECORD = '{"id":"%s","date":"20130901","info":{"appUpdateChannel":"beta"},"revision":null,"ping":{"ver":2,"info":{"OS":"%s"}}}\n'
LINES = b'id1\t{"ver":2,"info":{"OS":"Linux"}}\nid2\t{"ver":2,"info":{"OS":"Darwin"}}\nid3\t{"ver":2,"info":{"OS":"Linux"}}\n'
ANSWER = b'["Darwin",1]\n["Linux",2]\n'


@pytest.fixture
def files(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(LINES)
    return [tmp_path / "a", tmp_path / "b"]


@pytest.mark.parametrize(
    "command",
    [
        r"""awk -F'"OS":"' '{ sub(/".*/, "", $2); print $2 "\t" 1 }'""",
        "cut -f 2 | jq -c '[.info.OS, 1]'",
        r"""grep -o '"OS":"[^"]*' | cut -d '"' -f 4 | sed 's/$/\t1/'""",
    ],
)
def test_a_map_in_another_language(command, run_tool, tmp_path, files):
    (tmp_path / "list").write_text(f"{files[0]}\n")
    mapped = run_tool("tel-map", "--exec", command, files[0])
    assert mapped.returncode == 0 and ends.parse(mapped.stdout.splitlines()[-1])["files"] == 1
    assert run_tool("tel-reduce", "--inputs", tmp_path / "list", "count", stdin=mapped.stdout).stdout == ANSWER


def test_records_come_as_stored_lines_and_dimensions_as_variables(run_tool, tmp_path):
    stream = "".join(RECORD % pair for pair in (("a", "Linux"), ("b", "WINNT"))).encode() + ends.line("t", 2) + b"\n"
    command = r"""awk -F'\t' '{ print "[\"" $1 "\"," $2 "]" }'"""
    done = run_tool("tel-map", "--exec", command, stdin=stream)
    assert json.loads(done.stdout.splitlines()[1]) == ["b", {"ver": 2, "info": {"OS": "WINNT"}}]
    assert ends.parse(done.stdout.splitlines()[2]) == {"tool": "tel-map", "records": 2}
    words = ("tel-persist", "--store", tmp_path / "store", "--batch", "a")
    assert run_tool(*words, stdin=stream).returncode == 0
    stored = run_tool("tel-ls", tmp_path / "store").stdout.decode().split()
    command = r"""printf '%s\t' "$TEL_appUpdateChannel $TEL_submission_date $TEL_reason"; wc -l"""
    done = run_tool("tel-map", "--tab", "--exec", command, *stored)
    assert done.stdout == b"beta 20130901 UNKNOWN\t2\n", done


@pytest.mark.parametrize(
    "command, said",
    [
        ("cat > /dev/null; exit 3", b"the command ended with status 3: cat > /dev/null; exit 3"),
        ("false | cat; cat > /dev/null; false | cat", b"the command ended with status 1"),
        ("cat > /dev/null; kill -9 $$", b"the command was killed by signal 9"),
        ("true", b"the command did not read its input to the end: true"),
        ("head -n 1 > /dev/null", b"did not read its input to the end"),
        ("cat > /dev/null; echo word", b"line 1 of cat > /dev/null; echo word"),
        ("cat > /dev/null; printf 'a\\tb\\n'", b"no key TAB value"),
    ],
)
@pytest.mark.parametrize("times", [1, 20_000])
def test_a_program_that_fails_is_heard(command, said, times, run_tool, tmp_path):
    (tmp_path / "a").write_bytes(LINES * times)
    if command.startswith("head") and times == 1:
        command = "read -r line"
    done = run_tool("tel-map", "--exec", command, tmp_path / "a")
    assert done.returncode == 65 and b"%s: " % bytes(tmp_path / "a") in done.stderr and said in done.stderr, done
    assert b'"end"' not in done.stdout and done.stderr.count(b"\n") == 1


def test_a_line_that_is_no_record_ends_the_run(run_tool, tmp_path):
    (tmp_path / "a").write_bytes(LINES + b"{}\n")
    done = run_tool("tel-map", "--exec", "cat > /dev/null", tmp_path / "a")
    assert done.returncode == 65 and b"a:4: not a record" in done.stderr and done.stdout == b""


def test_what_goes_with_a_program(run_tool, files, tmp_path):
    assert run_tool("tel-map", "--exec", "cat", "--rejects", tmp_path / "bad", files[0]).returncode == 2
    (tmp_path / "bin").mkdir()
    tool = shutil.which("tel-map")
    done = run_tool(tool, "--exec", "cat", files[0], env={**os.environ, "PATH": str(tmp_path / "bin")})
    assert done.returncode == 74 and b"bash" in done.stderr


@pytest.mark.parametrize("line", [b"word", b"a\tb", b'"a\t1', b"a\t"])
def test_a_line_that_is_no_pair(line):
    with pytest.raises(BadData):
        program.pair_of(line)


def test_the_dimensions_of_the_2013_layout_are_variables_too(run_tool, tmp_path):
    folder = tmp_path / "idle_daily/Firefox/beta/24.0"
    folder.mkdir(parents=True)
    path = folder / "20130823.20130901.v2.log.0a1b.lzma"
    path.write_bytes(lzma.compress(LINES, lzma.FORMAT_ALONE))
    command = r"""printf '%s\t' "$TEL_reason $TEL_appBuildID"; wc -l"""
    done = run_tool("tel-map", "--layout", "2013", "--tab", "--exec", command, path)
    assert done.stdout == b"idle-daily 20130823\t3\n", done
