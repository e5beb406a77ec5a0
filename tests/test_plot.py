"""pipelines/plot-histogram draws what tel-show says, and nothing that a name could tell gnuplot to do."""

import os
import pathlib
import re
import shutil

import pytest

import tools

tools.put_on_path()
PLOT = pathlib.Path(__file__).parent.parent / "pipelines" / "plot-histogram"
LINEAR = b'[["nightly","26.0a1","A_LINEAR",5],[0,3,10,4,0,60,-1,-1,-1,-1]]\n'
LABELS = b'["A_CATEGORICAL",[7,13,0,13,-1,-1,-1,-1]]\n'
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def plot(run_tool, tmp_path):
    """Runs the pipeline in a folder of its own; nothing of it may be left in the temporary folder."""
    if not shutil.which("gnuplot"):
        pytest.skip("gnuplot is missing: pipelines/plot-histogram is not run")
    (tmp_path / "t").mkdir()

    def run(*words, stdin=LINEAR, path=os.environ["PATH"]):
        env = {**os.environ, "TMPDIR": str(tmp_path / "t"), "PATH": path, "TEL_HISTOGRAMS": f"{tools.CASES}/histograms"}
        done = run_tool(PLOT, *words, stdin=stdin, env=env, cwd=tmp_path)
        assert not os.listdir(tmp_path / "t") and not list(tmp_path.glob("*.new"))
        return done

    return run


def size_of(png):
    """(width, height) of a PNG."""
    return int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")


def bars(svg):
    """The heights of the bars of an SVG that gnuplot drew."""
    found = re.findall(r"<polygon fill = 'rgb\( 47,  95, 208\)'.*?points = '([^']+)'", svg)
    corners = [[float(point.split(",")[1]) for point in points.split()] for points in found]
    return [max(ys) - min(ys) for ys in corners]


def test_a_png_has_room_for_each(plot, tmp_path):
    done = plot("--to", "a.png", "--size", "400x200", stdin=LINEAR + LABELS)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    data = (tmp_path / "a.png").read_bytes()
    assert data.startswith(PNG) and size_of(data) == (400, 400)


def test_an_svg_has_bars_as_high_as_the_shares(plot, tmp_path):
    assert plot("--to=a.svg").returncode == 0
    svg = (tmp_path / "a.svg").read_text()
    heights = [height for height in bars(svg) if height > 0]
    assert "nightly 26.0a1 A_LINEAR 5" in svg and len(heights) == 3
    assert [height / max(heights) for height in heights] == pytest.approx([0.3, 1, 0.4], abs=0.01)


def test_labels_are_drawn(plot, tmp_path):
    (tmp_path / "in").write_bytes(LABELS)
    assert plot("--to", "a.svg", "in", stdin=b"").returncode == 0
    svg = (tmp_path / "a.svg").read_text()
    assert "0 red" in svg and "1 green" in svg


@pytest.mark.parametrize(
    "key", ["`touch pwned`", "'; system('touch pwned')", '"; !touch pwned', "$(touch pwned)", "a\\nb"]
)
def test_a_name_is_no_code(plot, tmp_path, key):
    line = b'["%s",[1,2,0,2,-1,-1,-1,-1]]\n' % key.replace("\\", "\\\\").replace('"', '\\"').encode()
    assert plot("--to", "a.svg", "--name", "A_FLAG", stdin=line).returncode == 0
    assert {path.name for path in tmp_path.iterdir()} == {"a.svg", "t"}


def test_definitions_are_chosen_as_for_the_tool(plot, tmp_path):
    (tmp_path / "d.json").write_text('{"A_LINEAR":{"kind":"linear","low":1,"high":777,"n_buckets":5}}')
    assert plot("--to", "a.svg", "--definitions", "d.json").returncode == 0
    assert "777" in (tmp_path / "a.svg").read_text()
    assert plot("--to", "b.svg", "--revision", "0123456789abcdef").returncode == 0
    assert plot("--to", "c.svg", "--histograms", "nowhere").returncode == 66


WRONG = [
    ((), 2, b"usage"),
    (("--to", "a.gif"), 2, b".png or .svg"),
    (("--to",), 2, b"--to needs a value"),
    (("--to", "a.png", "--size", "big"), 2, b"--size big"),
    (("--to", "a.png", "--frobnicate"), 2, b"--frobnicate"),
    (("--to", "a.png", "nowhere"), 66, b"nowhere"),
    (("--to", "no/a.png"), 74, b"cannot be written"),
]


@pytest.mark.parametrize("words, status, said", WRONG)
def test_what_is_wrong_is_said(plot, words, status, said):
    done = plot(*words)
    assert done.returncode == status and said in done.stderr


@pytest.mark.parametrize(
    "given, status", [(b"", 65), (b'["A"', 65), (LINEAR + b'["NO",[1,2,0,-1,-1,-1,-1,-1]]\n', 65), (LINEAR * 25, 2)]
)
def test_a_picture_that_cannot_be_made_leaves_the_old_one(plot, tmp_path, given, status):
    (tmp_path / "a.png").write_bytes(b"old")
    done = plot("--to", "a.png", stdin=given)
    assert done.returncode == status and done.stderr and (tmp_path / "a.png").read_bytes() == b"old"


def test_without_gnuplot_it_says_so(plot, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bin")
    for program in ("bash", "env"):
        (folder / program).symlink_to(shutil.which(program))
    done = plot("--to", "a.png", path=str(folder))
    assert (done.returncode, done.stderr) == (66, b"plot-histogram: gnuplot is not there: install it\n")


def test_help_is_its_head(plot):
    done = plot("--help")
    assert done.returncode == 0 and done.stdout.startswith(b"plot-histogram - draw") and b"--size" in done.stdout
