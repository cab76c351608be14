"""E9 and F12 in the folder of a site: its lock, its notes, files of a mirror, and devices."""

from __future__ import annotations

import json
import os
import resource
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from staticstore import StaticStore, StoreError, mirror, publish
from staticstore.site.folder.site_folder import SiteFolder
from staticstore.site.mirroring.index_files import MirrorNote, read_mirror_note
from staticstore.site.publisher import verify_site

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links are made by administrators there")

LARGE = bytes(range(256)) * 6_000  # 1.5 MB, so that it is staged in a file of its own


@pytest.fixture
def site(tmp_path: Path) -> Path:
    data = tmp_path / "site/data"
    data.mkdir(parents=True)
    (data / "large").write_bytes(LARGE)
    (data / "small").write_bytes(b"small")
    publish(tmp_path / "site")
    return tmp_path / "site"


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    path = tmp_path / "victim"
    path.write_bytes(b"precious")
    os.utime(path, (1, 1))
    return path


def mirrored(site: Path, copy: Path) -> None:
    with StaticStore(site, poll_interval=0) as store:
        assert mirror(store, copy).failed == []
    assert verify_site(copy).wrong == []


def is_untouched(victim: Path) -> bool:
    return victim.read_bytes() == b"precious" and victim.stat().st_mtime == 1


@pytest.mark.parametrize("link", [os.link, os.symlink])
@pytest.mark.parametrize("write", ["publish", "mirror"])
def test_e9_a_lock_file_with_a_hard_link_is_refused(
    site: Path, tmp_path: Path, victim: Path, link: Callable[[Path, Path], None], write: str
) -> None:
    place = site if write == "publish" else tmp_path / "copy"
    (place / ".staticstore").mkdir(parents=True, exist_ok=True)
    (place / ".staticstore/lock").unlink(missing_ok=True)
    link(victim, place / ".staticstore/lock")
    with pytest.raises(StoreError, match="link"):
        publish(site) if write == "publish" else mirrored(site, place)
    assert is_untouched(victim)


def staged_file(site: Path, copy: Path) -> Path:
    """Return the staged file of the large value in the copy."""
    from staticstore.site.mirroring.staging import Staging

    (copy / ".staticstore").mkdir(parents=True)
    with StaticStore(site, poll_interval=0) as store:
        return Staging(SiteFolder(copy), set()).path_for("large", store["large"].sha256)


@pytest.mark.parametrize("content", [b"precious", LARGE])
@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_e9_a_staged_file_with_another_name_is_not_used(
    site: Path, tmp_path: Path, link: Callable[[Path, Path], None], content: bytes
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(content)
    os.utime(victim, (1, 1))
    waiting = staged_file(site, tmp_path / "copy")
    waiting.parent.mkdir(mode=0o700)
    link(victim, waiting)
    mirrored(site, tmp_path / "copy")
    assert victim.read_bytes() == content
    assert victim.stat().st_mtime == 1
    assert (tmp_path / "copy/data/large").lstat().st_ino != victim.stat().st_ino


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o1777])
def test_e9_a_staging_folder_that_others_can_write_is_replaced(
    site: Path, tmp_path: Path, mode: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = staged_file(site, tmp_path / "copy")
    waiting.parent.mkdir()
    waiting.parent.chmod(mode)
    waiting.write_bytes(LARGE)
    open_still = waiting.open("rb")  # otherwise a new file could get its inode
    before = waiting.stat().st_ino
    seen: list[int] = []
    replace = os.replace

    def noted(source: Any, target: Any) -> None:
        if Path(target).name == "large":
            seen.append(stat.S_IMODE(waiting.parent.stat().st_mode))
            assert os.stat(source).st_ino != before
        replace(source, target)

    monkeypatch.setattr(os, "replace", noted)
    with open_still:
        mirrored(site, tmp_path / "copy")
    assert seen == [0o700]


def test_f17_a_staged_file_is_used_with_a_umask_that_lets_a_group_write(
    site: Path, tmp_path: Path
) -> None:
    waiting = staged_file(site, tmp_path / "copy")
    waiting.parent.mkdir(mode=0o700)
    waiting.write_bytes(LARGE)
    waiting.chmod(0o664)
    before = waiting.stat().st_ino
    mirrored(site, tmp_path / "copy")
    assert (tmp_path / "copy/data/large").stat().st_ino == before


NOTES: list[dict[str, object]] = [
    {"left": "somebody's"},
    {"left": 5},
    {"modified": "2026-01-01T00:00:00"},
    {"modified": "yesterday"},
    {"sha256": "ab"},
    {"older": -1},
    {"older": True},
    {"absent": 1 << 70},
    {"head": "{}"},
]


@pytest.mark.parametrize("fields", NOTES)
def test_e9_an_invalid_note_of_a_mirror_is_ignored(
    site: Path, tmp_path: Path, fields: dict[str, object]
) -> None:
    mirrored(site, tmp_path / "copy")
    folder = SiteFolder(tmp_path / "copy")
    said = json.loads(folder.mirror_note.read_bytes())
    folder.mirror_note.write_text(json.dumps({**said, "origin": {**said["origin"], **fields}}))
    assert read_mirror_note(folder) == MirrorNote()
    mirrored(site, tmp_path / "copy")


def test_a8_a_mirrors_note_that_is_too_large_is_ignored(site: Path, tmp_path: Path) -> None:
    mirrored(site, tmp_path / "copy")
    folder = SiteFolder(tmp_path / "copy")
    with folder.mirror_note.open("ab") as file:
        file.write(b" " * (1 << 16))
    assert read_mirror_note(folder) == MirrorNote()


@pytest.fixture(params=[(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def permissions(request: pytest.FixtureRequest) -> Iterator[int]:
    """Set a umask, and return the permissions that files then have."""
    mask, mode = request.param
    before = os.umask(mask)
    yield mode
    os.umask(before)


def test_f12_all_written_files_have_the_permissions_of_the_umask(
    permissions: int, tmp_path: Path
) -> None:
    site, copy = tmp_path / "site", tmp_path / "copy"
    (site / "data").mkdir(parents=True)
    (site / "data/large").write_bytes(LARGE)
    (site / "data/small").write_bytes(b"small")
    publish(site, pack=True, browse=True)
    with StaticStore(site, poll_interval=0) as store:
        for key in store:
            store.to_file(key, tmp_path / f"out {key}")
        mirror(store, copy)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path: stat.S_IMODE(path.stat().st_mode) for path in files} == dict.fromkeys(
        files, permissions
    )


FEW = """
import sys
from staticstore import StaticStore, mirror, publish
site, copy = sys.argv[1:]
print(len(publish(site, pack=True, browse=True).skipped))
with StaticStore(site, poll_interval=0) as store:
    keys = list(store)
    print(sum(len(data) for _, data in store.read_many(keys)))
    print(sum(len(stream.read()) for stream in store.multiget_data(keys)))
    print(len(mirror(store, copy).failed))
"""


@pytest.mark.parametrize("options", [[], ["-OO"]])
def test_f2_forty_descriptors_are_enough(memory_path: Path, options: list[str]) -> None:
    data = memory_path / "site/data"
    data.mkdir(parents=True)
    for number in range(200):
        (data / f"{number:03}").write_bytes(b"x" * 100)
    (data / "/".join("d" * 60)).parent.mkdir(parents=True)  # more folders than descriptors
    (data / "/".join("d" * 60)).write_bytes(b"x" * 100)
    ended = subprocess.run(
        [sys.executable, *options, "-c", FEW, memory_path / "site", memory_path / "copy"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40)),
    )
    assert (ended.stdout.split(), ended.stderr) == (["0", "20100", "20100", "0"], "")
