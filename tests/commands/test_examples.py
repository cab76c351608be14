"""The scripts of examples/: short, and they run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands.shell import ROOT, TIMEOUT, environment

EXAMPLES = ROOT / "examples"
SHOWN = {
    "query_site.py": "True color image of Ilvar",
    "follow_changes.py": "update  stations/stations.csv",
    "publish_and_serve.py": "W1,weather,Hohe Warte",
}
# The libraries that they report to; tested in tests/client/test_metrics.py, too.
REPORTING = {"metrics_prometheus.py", "tracing_opentelemetry.py"}


def run(name: str, *arguments: str) -> str:
    """Run an example; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / name, *arguments],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        env=environment(),
        timeout=TIMEOUT,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode()


# Windows, and the program that starts them: tested in tests/interop/.
WINDOWS = {"browser_qt.py", "browser_tk.py", "changing_site.py"}
# Makes the files of docs/cookbook.md: tested in tests/cookbook/.
COOKBOOK = {"cookbook_site.py"}


def test_these_are_all() -> None:
    named = SHOWN.keys() | REPORTING | WINDOWS | COOKBOOK
    assert {path.name for path in EXAMPLES.glob("*.py")} == named


@pytest.mark.parametrize("name", SHOWN)
def test_it_ends_by_itself_and_prints_something(name: str) -> None:
    assert SHOWN[name] in run(name)


@pytest.mark.parametrize("name", SHOWN)
def test_it_is_short(name: str) -> None:
    assert len((EXAMPLES / name).read_text("utf-8").splitlines()) < 40


def test_a_query_takes_another_site(url: str) -> None:
    assert run("query_site.py", url, "type=table").count("begins with") == 3


def test_the_sample_site_is_left_as_it_is() -> None:
    def state() -> list[tuple[Path, int]]:
        site = ROOT / "sample_site"
        return [(path, path.stat().st_mtime_ns) for path in sorted(site.rglob("*"))]

    before = state()
    for name in SHOWN:
        run(name)
    assert state() == before


def test_a_program_is_run_with_the_url_of_a_site_that_changes(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\n"
        "from staticstore import StaticStore\n"
        "with StaticStore(sys.argv[1], poll_interval=0.1) as store:\n"
        "    changes = store.watch()\n"
        "    print(next(changes), next(changes), flush=True)\n"
    )
    printed = run("changing_site.py", str(program))
    assert "update 'measurements/weather-2025.csv'" in printed
    assert "set 'notes/seals-2.txt'" in printed
