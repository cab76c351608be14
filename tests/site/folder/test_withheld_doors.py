"""F11, F6: what publish withholds is withheld by mirror, push and serve, by the same rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

import pytest
import requests

from staticstore import StaticStore, mirror, publish, serve, verify_site
from staticstore.client.store import site_snapshot
from staticstore.errors import StoreError
from staticstore.site.folder import scan
from staticstore.site.guards import RefusedError
from staticstore.site.push import push
from tests.servers import PythonServer

from ..sitefolder import fill, index_of, make_site, tree

PLAIN = {"a.csv": b"x\n1\n", "dem~1.tif": b"II*", "z/.zarray": b"{}"}
OLD = {
    ".git/config": b"[core]\n",
    "sub/.GIT./HEAD": b"ref",
    ".htaccess": b"AddHandler x\n",
    "git~1/config": b"[core]\n",
    ".g\u200cit/config": b"[core]\n",
    "a\\.git\\config": b"[core]\n",
    ".env": b"PASSWORD=1",
    ".ssh/authorized_keys": b"ssh-rsa",
    ".staticstore/notes.json": b"{}",
}
NEW = {".docker/config.json": b"{}", "prod.env": b"A=1", ".config/gcloud/token": b"t"}
HIDDEN = OLD | NEW

Publish = Callable[[Mapping[str, bytes]], Path]


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Publish:
    """Publish a site as a host does that withholds nothing."""

    def publish_all(files: Mapping[str, bytes], *, pack: bool = False) -> Path:
        site = tmp_path / "site"
        if not site.exists():
            make_site(site, {})
        fill(site / "data", files)
        with monkeypatch.context() as patched:
            patched.setattr(scan, "withheld_key", lambda *_: None)
            publish(site, pack=pack)
        return site

    return publish_all


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return tmp_path / "copy"


def opened(site: Path | str) -> StaticStore:
    return StaticStore(site, poll_interval=0).connect()


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


# Mirror


@pytest.mark.parametrize("pack", [False, True], ids=["plain", "packed"])
def test_f11_a_mirror_writes_nothing_that_is_withheld(
    published: Callable[..., Path], copy: Path, pack: bool
) -> None:
    with PythonServer(published(PLAIN | HIDDEN, pack=pack)) as web, opened(web.url) as store:
        report = mirror(store, copy)
    assert [key for key, _ in report.skipped] == sorted(HIDDEN)
    assert report.failed == []
    assert files_below(copy / "data") == set(PLAIN)
    assert not (copy / "packs").exists()


def test_f11_a_copy_without_what_was_skipped_is_a_site_of_its_own(
    published: Publish, copy: Path
) -> None:
    site = published(PLAIN | HIDDEN)
    with opened(site) as store:
        mirror(store, copy)
    assert sorted(index_of(copy)) == sorted(PLAIN)
    assert verify_site(copy).wrong == []
    with opened(copy) as whole, opened(site) as origin:
        assert dict(whole.read_many(list(whole))) == PLAIN
        assert site_snapshot(whole).head is not None
        assert site_snapshot(whole).head.lineage != site_snapshot(origin).head.lineage  # type: ignore[union-attr]


def test_a_reason_tells_which_name_to_allow(published: Publish, copy: Path) -> None:
    with opened(published({"x/.GIT./id_rsa": b"1"})) as store:
        ((key, reason),) = mirror(store, copy).skipped
    assert key == "x/.GIT./id_rsa"
    assert reason.endswith("allow the name '.git' 'id_rsa' to have it copied")


@pytest.mark.parametrize("allowed", [[".git", ".htaccess"], ["*"]])
def test_a_mirror_writes_names_that_are_allowed(
    published: Publish, copy: Path, allowed: list[str]
) -> None:
    files = {".git/config": b"1", ".htaccess": b"2", "a": b"3"}
    site = published(files)
    with opened(site) as store:
        report = mirror(store, copy, allow_names=allowed)
    assert (report.skipped, report.fetched) == ([], 3)
    assert (copy / "index.head.json").read_bytes() == (site / "index.head.json").read_bytes()
    assert verify_site(copy).wrong == []


def test_one_allowed_name_may_be_given_alone(published: Publish, copy: Path) -> None:
    with opened(published({".htaccess": b"1", ".git/x": b"2"})) as store:
        report = mirror(store, copy, allow_names=".htaccess")
    assert [key for key, _ in report.skipped] == [".git/x"]


def test_a_part_is_withheld_as_the_whole(published: Publish, copy: Path) -> None:
    with opened(published(PLAIN | OLD)) as store:
        report = mirror(store, copy, globs=[".h*", "a.csv"])
    assert [key for key, _ in report.skipped] == [".htaccess"]
    assert sorted(index_of(copy)) == ["a.csv"]


def test_what_an_earlier_version_has_copied_is_named_no_more(
    published: Publish, copy: Path
) -> None:
    with opened(published(PLAIN | OLD)) as store:
        mirror(store, copy, allow_names="*")
        assert mirror(store, copy, delete=True, force=True).deleted == len(OLD)
    assert sorted(index_of(copy)) == sorted(PLAIN)
    assert files_below(copy / "data") == set(PLAIN)


def test_a_name_that_is_new_on_the_list_stays_in_a_copy(
    published: Publish, copy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(published(PLAIN | NEW)) as store:
        mirror(store, copy, allow_names="*")
        report = mirror(store, copy)
    assert (report.skipped, report.kept) == ([], len(PLAIN | NEW))
    assert sorted(index_of(copy)) == sorted(PLAIN | NEW)
    assert caplog.text.count("would be skipped if it were new") == len(NEW)


def test_a_name_that_is_new_on_the_list_is_not_written_over_in_a_copy(
    published: Publish, copy: Path
) -> None:
    with opened(published(PLAIN | NEW)) as store:
        mirror(store, copy, allow_names="*")
        published({"prod.env": b"B=22"})
        store.update_index()
        report = mirror(store, copy)
    assert [key for key, _ in report.skipped] == ["prod.env"]
    assert (copy / "data" / "prod.env").read_bytes() == NEW["prod.env"]
    assert verify_site(copy).wrong == []


@pytest.mark.parametrize("plain", [0, 9])
@pytest.mark.parametrize("delete", [False, True])
def test_f8_what_is_skipped_does_not_count_as_left(
    published: Publish, copy: Path, plain: int, delete: bool
) -> None:
    files = {f"{number}.txt": b"1" for number in range(plain)}
    with opened(published(files | {f".git/{number}": b"1" for number in range(11)})) as store:
        mirror(store, copy, allow_names=".git")
        before = tree(copy)
        with pytest.raises(RefusedError, match=f"would leave {plain} of {plain + 11} entries"):
            mirror(store, copy, delete=delete)
        assert tree(copy) == before
        assert len(mirror(store, copy, delete=delete, force={"shrink"}).skipped) == 11
    assert len(index_of(copy)) == plain


def test_f13_a_part_over_a_copy_of_all_but_what_is_skipped_is_refused(
    published: Publish, copy: Path
) -> None:
    with opened(published(PLAIN | OLD)) as store:
        mirror(store, copy)
        before = tree(copy)
        with pytest.raises(RefusedError, match="1 of 3 entries"):
            mirror(store, copy, globs="*.csv")
    assert tree(copy) == before


def test_contents_are_looked_at_by_publish_alone(published: Publish, copy: Path) -> None:
    key = b"about\n-----BEGIN PRIVATE KEY-----\nMIIEvQ==\n"
    site = published({"b.txt": b"1"})
    fill(site / "data", {"a.txt": key})
    assert publish(site).skipped == [("a.txt", "it holds a private key")]
    assert "a.txt" not in index_of(site)
    body = (site / "index.json").read_bytes().replace(b'"b.txt"', b'"a.txt"')
    (copy / "other").mkdir(parents=True)
    (copy / "other" / "data").mkdir()
    fill(copy / "other" / "data", {"a.txt": b"1"})
    (copy / "other" / "index.json").write_bytes(body)
    with opened(copy / "other") as store:
        assert mirror(store, copy / "copy", verify=True).fetched == 1
        assert mirror(store, copy / "copy", verify=True).kept == 1


# Push


@pytest.mark.parametrize("key", [".git/config", "git~1/config", ".g\u200cit/config", "prod.env"])
def test_f11_a_site_that_names_what_is_withheld_is_not_pushed(
    published: Publish, tmp_path: Path, key: str
) -> None:
    site = published({key: HIDDEN[key], "a": b"1"})
    with pytest.raises(StoreError, match=r"the index names what is withheld: .*--allow-name"):
        push(site, tmp_path / "host", force=True)
    assert not (tmp_path / "host" / "data").exists()


def test_a_push_uploads_names_that_are_allowed(published: Publish, tmp_path: Path) -> None:
    site = published({".htaccess": b"1", "a": b"2"})
    report = push(site, tmp_path / "host", allow_names=[".htaccess"])
    assert report.failed == []
    assert files_below(tmp_path / "host" / "data") == {".htaccess", "a"}


def test_a_push_goes_on_with_what_the_target_has_of_new_names(
    published: Publish, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    site = published({"prod.env": b"A=1", "a": b"2"})
    push(site, tmp_path / "host", allow_names="*.env")
    fill(site / "data", {"a": b"33"})
    publish(site)
    assert "data/a" in push(site, tmp_path / "host").uploaded
    assert "'prod.env' stays at the target" in caplog.text
    published({"b.env": b"B=2"})
    with pytest.raises(StoreError, match=r"'b\.env'"):
        push(site, tmp_path / "host")


# Publish


def test_a_name_that_is_new_on_the_list_stays_published_with_a_warning(
    published: Publish,
) -> None:
    site = published(PLAIN | NEW)
    fill(site / "data", {"b.env": b"B=2", ".config/gcloud/other": b"o"})
    report = publish(site)
    assert (report.set, report.updated, report.deleted) == ([], [], [])
    assert sorted(index_of(site)) == sorted(PLAIN | NEW)
    assert [path for path, _ in report.skipped] == [".config/gcloud/other", "b.env"]
    warned = [one for one in report.warnings if "stays published" in one]
    assert [one.split("'")[1] for one in warned] == sorted(NEW)
    assert "move it out of data/, and publish again" in warned[0]


def test_a_new_value_of_it_is_published(published: Publish) -> None:
    site = published({"prod.env": b"A=1"})
    fill(site / "data", {"prod.env": b"A=22"})
    assert publish(site).updated == ["prod.env"]


def test_once_removed_it_is_withheld(published: Publish) -> None:
    site = published({"prod.env": b"A=1", "a": b"1"})
    (site / "data" / "prod.env").unlink()
    assert publish(site).deleted == ["prod.env"]
    fill(site / "data", {"prod.env": b"A=1"})
    assert publish(site).set == []


def test_a_publish_that_finds_nothing_changed_warns_as_well(published: Publish) -> None:
    site = published(PLAIN | NEW)
    reports = [publish(site) for _ in range(3)]
    assert reports[2].warnings == reports[0].warnings != []
    assert reports[2].hashed == 0


def test_a_published_link_to_such_a_name_stays(published: Publish) -> None:
    site = published({"prod.env": b"A=1"})
    (site / "data" / "settings").symlink_to("prod.env")
    published({})
    (site / "data" / "other").symlink_to("prod.env")
    report = publish(site)
    assert sorted(index_of(site)) == ["prod.env", "settings"]
    assert [path for path, _ in report.skipped] == ["other"]


def test_f6_what_was_always_withheld_is_left_out_though_an_index_names_it(
    published: Publish,
) -> None:
    site = published(PLAIN | OLD)
    assert publish(site).deleted == sorted(OLD)


# Serve


@pytest.fixture
def url(published: Publish) -> Iterator[str]:
    with serve(published(PLAIN | HIDDEN), port=0) as server:
        yield server.url


def test_f11_what_is_withheld_is_not_served(url: str) -> None:
    with requests.Session() as session:
        for key in HIDDEN:
            fully = "".join(f"%{byte:02x}" for byte in f"data/{key}".encode())
            plain = quote(f"data/{key}")
            for path in (plain, f"{plain}?x=1", fully, fully.replace("%2f", "/")):
                assert session.get(url + path, timeout=10).status_code == 404, path


def test_f11_the_publishers_own_is_not_served_whatever_its_spelling(url: str) -> None:
    paths = [
        ".staticstore/lock",
        "%2estaticstore/lock",
        ".STATICSTORE/lock",
        ".staticstore./lock",
        ".staticstore%20/lock",
        "%E2%80%8C.staticstore/lock",
        "static~1/lock",
        "data/%2E%2E/.staticstore/lock",
        "data/..%2f.staticstore%2flock",
    ]
    with requests.Session() as session:
        for path in paths:
            request = requests.Request("GET", url).prepare()
            request.url = url + path
            assert session.send(request, timeout=10).status_code == 404, path


def test_what_is_data_is_served(url: str) -> None:
    for key, value in PLAIN.items():
        assert requests.get(url + quote(f"data/{key}"), timeout=10).content == value
