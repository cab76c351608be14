"""git beside a site: it changes no bytes, and runs nothing that a host has named its own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from staticstore import StaticStore, mirror
from staticstore.site.documents.root_files import git_warnings
from staticstore.site.folder.site_folder import SiteFolder
from staticstore.site.publisher import publish
from staticstore.site.push import push
from tests.site.sitefolder import make_site
from tests.sites import write_site

if not shutil.which("git"):
    pytest.skip("git is not installed", allow_module_level=True)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return make_site(tmp_path / "site", {"a.csv": b"a,b\r\n1,2\r\n"})


def git(*arguments: str, folder: Path, settings: tuple[str, ...] = ()) -> str:
    config = ("user.name=x", "user.email=x@example.org", "core.safecrlf=false", *settings)
    options = [word for one in config for word in ("-c", one)]
    command = ["git", *options, *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def via_git(folder: Path, checkout: Path) -> Path:
    """Commit a site as on Windows, and check it out as there."""
    on_windows = ("core.autocrlf=true", "core.attributesFile=/dev/null")
    for command in (("init", "-q"), ("add", "-A"), ("commit", "-q", "-m", "x")):
        git(*command, folder=folder, settings=on_windows)
    git("clone", "-q", str(folder), str(checkout), folder=folder.parent, settings=on_windows)
    return checkout


@pytest.mark.parametrize("how", ["published", "mirrored", "pushed"])
def test_f20_git_changes_no_bytes_of_a_site(site: Path, tmp_path: Path, how: str) -> None:
    (site / "data" / "b.csv").write_bytes(b"a,b\n1,2\n")
    publish(site, pack=True, browse=True)
    folder = site
    if how == "mirrored":
        folder = tmp_path / "mirror"
        with StaticStore(site, poll_interval=0) as store:
            mirror(store, folder)
    elif how == "pushed":
        folder = tmp_path / "pushed"
        push(site, folder)
    with StaticStore(via_git(folder, tmp_path / "clone"), poll_interval=0) as store:
        assert [store[key].read() for key in store] == [b"a,b\r\n1,2\r\n", b"a,b\n1,2\n"]
    names = ("index.json", "index.head.json", "index.html")
    for name in names if how == "published" else names[:2]:
        assert (tmp_path / "clone" / name).read_bytes() == (folder / name).read_bytes()


RULES = [
    "* -text",
    "* text=auto",
    "* binary",
    "*.csv -text",
    "* -text\n*.csv text\n",
    "* text=auto\r\ndata/** -text\r\n*.json -text\r\n",
    "data/* -text\n/index.json -text\nindex.head.json binary",
    "**/b.csv text\n",
    "data/**/c?d.txt !text\n* diff\n",
    "[attr]mine -text\n* -text\n# * text\n",
    "/a.csv text\n* -text\ndata/b/ text\n",
    "* -text\n[abi]*.csv text eol=crlf\n",
    "* -text\n[!a-c]*.csv text\n",
    "*.csv -text -diff\n*.txt eol=lf\n*.json -text\n",
    "* -text\nb/*.csv text\ndata/b/*.csv text=auto\n",
    "data/** -text\n*.json -text\n",
    "* -text\nblocks/* text\n",
    "* -text\n*.md text\n",
]


@pytest.mark.parametrize("rules", RULES)
def test_f20_attributes_are_read_as_git_reads_them(site: Path, rules: str) -> None:
    keys = ["a.csv", "b/b.csv", "b/x/c-d.txt", "i.txt", "b"]
    (site / "README.md").write_bytes(b"# Words\n")
    named = ["index/*.json", "changes/*.jsonl", "blocks/*.json", "blocks/*.jsonl", "about/*.json"]
    values = [f"data/{key}" for key in keys]
    paths = ["index.json", "index.head.json", *values, "README.md", *named]
    (site / ".gitattributes").write_bytes(rules.encode())
    git("init", "-q", folder=site)
    said = git("check-attr", "text", "--", *paths, folder=site).splitlines()
    changed = [line.split(": ")[0] for line in said if not line.endswith(": unset")]
    found = git_warnings(SiteFolder(site), keys)
    assert len(found) == bool(changed)
    if changed:
        more = f" and of {len(changed) - 1} more files" if len(changed) > 1 else ","
        assert f"of {changed[0]!r}{more}" in found[0]


def test_f11_git_does_not_run_what_a_host_has_named_its_config(tmp_path: Path) -> None:
    config = f'[core]\n\tbare = false\n\tfsmonitor = "touch {tmp_path}/ran; false"\n'
    files = {
        f"{folder}/{name}": text
        for folder in (".git", ".GIT", "sub/.git")
        for name, text in (
            ("config", config.encode()),
            ("HEAD", b"ref: refs/heads/main\n"),
            ("objects/x", b"1"),
            ("refs/x", b"2"),
        )
    }
    copy = tmp_path / "copy"
    write_site(tmp_path / "host", {"a.csv": b"x\n1\n", **files})
    with StaticStore(tmp_path / "host", poll_interval=0) as store:
        mirror(store, copy)
    for folder in (copy / "data", copy / "data" / "sub"):
        folder.mkdir(exist_ok=True)
        subprocess.run(["git", "status"], cwd=folder, capture_output=True, check=False)
    assert not (tmp_path / "ran").exists()
