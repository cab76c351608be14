"""A19 and F16: a head names documents by their digests, and nothing else becomes a path.

Heads are those of a real publisher, changed by the test.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from staticstore import IndexFormatError, IntegrityError, StaticStore, mirror, publish
from staticstore.index.blocks import named_documents
from staticstore.index.head import Head, NamedDocument, Role
from staticstore.index.hidden import place_of
from staticstore.site.documents.document_files import write_document
from staticstore.site.folder.site_folder import SiteFolder
from staticstore.site.verify import verify_site

SHA256 = "ab" * 32
HREFS = [
    ".git/config",
    ".htaccess",
    "../outside.json",
    "/etc/passwd",
    "index.html",
    "data/a.txt",
    "index/{sha256}.html",
    "index/{sha256}.json/x",
    "INDEX/{sha256}.json",
    "index\\{sha256}.json",
    "index//{sha256}.json",
    "./index/{sha256}.json",
    "index/" + "0" * 64 + ".json",
    "index/{sha256}.json\n",
    "%69ndex/{sha256}.json",
    "https://other.example/index/{sha256}.json",
    "",
]
PLACES = ["index", "blocks", "changes"]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site with a head that names one document of each kind; read-only."""
    data = tmp_path_factory.mktemp("published") / "site" / "data"
    data.mkdir(parents=True)
    for number in range(40):
        (data / f"{number}.txt").write_text(f"value {number}")
    publish(data.parent)
    (data / "a.txt").write_text("a")
    publish(data.parent)
    return data.parent


@pytest.fixture
def site(published: Path, tmp_path: Path) -> Path:
    """A copy of the published site that may be changed."""
    return shutil.copytree(published, tmp_path / "site")


def changed_head(site: Path, change: Callable[[Any], None]) -> bytes:
    """Return the changed head of a site."""
    said = json.loads((site / "index.head.json").read_bytes())
    change(said)
    return json.dumps(said).encode()


def change_head(site: Path, change: Callable[[Any], None]) -> None:
    """Change the head of a site."""
    body = changed_head(site, change)
    (site / "index.head.json").unlink()
    (site / "index.head.json").write_bytes(body)


def named_in(said: Any, place: str) -> Any:
    return said["changes"][0] if place == "changes" else said[place]


@pytest.mark.parametrize("href", HREFS)
@pytest.mark.parametrize("place", PLACES)
def test_a19_a_head_with_an_href_that_does_not_match_its_digest_is_invalid(
    published: Path, place: str, href: str
) -> None:
    def change(said: Any) -> None:
        named = named_in(said, place)
        named["href"] = href.format(sha256=named["sha256"])

    with pytest.raises(IndexFormatError):
        Head.parse(changed_head(published, change))


@pytest.mark.parametrize("wrong", [None, 5, [], {}, True, 1.5])
@pytest.mark.parametrize("field", ["href", "size", "sha256"])
@pytest.mark.parametrize("place", PLACES)
def test_a19_a_head_with_a_field_of_another_type_is_invalid(
    published: Path, place: str, field: str, wrong: object
) -> None:
    if field == "size" and wrong == 5:
        wrong = -5

    def change(said: Any) -> None:
        named_in(said, place)[field] = wrong

    with pytest.raises(IndexFormatError):
        Head.parse(changed_head(published, change))


def test_a19_a_site_with_an_invalid_head_is_read_by_its_index(site: Path) -> None:
    change_head(site, lambda said: said["index"].update(href=".git/config"))
    with StaticStore(site, poll_interval=0) as store:
        assert (len(store), store.info()["generation"]) == (41, None)


@pytest.mark.parametrize("href", [".git/config", "index.html", ".staticstore/notes.json"])
def test_a19_a_mirror_writes_no_name_chosen_by_the_host(
    site: Path, tmp_path: Path, href: str
) -> None:
    evil = b"evil"
    (site / href).parent.mkdir(exist_ok=True)
    (site / href).write_bytes(evil)
    change = {"from": [], "href": href, "size": 4, "sha256": _sha256(evil), "count": 0}
    change_head(site, lambda said: said["changes"].append(change))
    with StaticStore(site, poll_interval=0) as store:
        mirror(store, tmp_path / "copy")
    assert not [
        path
        for path in (tmp_path / "copy").rglob("*")
        if path.is_file() and path.read_bytes() == evil
    ]


def _sha256(body: bytes) -> str:
    return NamedDocument.of(Role.CHANGES, body).sha256


@pytest.mark.parametrize(
    "href",
    [
        ".git/config",
        "../x.zip",
        f"packs/{SHA256}.zip/x",
        f"packs/{SHA256.upper()}.zip",
        f"packs/{SHA256}.zip\n",
        f"data/{SHA256}.zip",
        f"packs/{SHA256[1:]}.zip",
    ],
)
def test_a19_a_pack_with_another_name_is_ignored_and_still_hidden(
    site: Path, tmp_path: Path, href: str
) -> None:
    assert place_of([href, 0]) is None
    index = json.loads((site / "index.json").read_bytes())
    index["a.txt"]["packed"] = [href, 0]
    for name in ("index.head.json", "index.json"):
        (site / name).unlink()
    (site / "index.json").write_text(json.dumps(index))
    with StaticStore(site, poll_interval=0) as store:
        assert "packed" not in store.get_metadata("a.txt")
        assert dict(store.read_many(["a.txt"])) == {"a.txt": b"a"}
        assert mirror(store, tmp_path / "copy").failed == []
    assert not (tmp_path / "copy" / "packs").exists()


# The only function that writes documents (F16)


@pytest.mark.parametrize("role", list(Role))
def test_f16_a_document_is_only_stored_under_its_own_digest(tmp_path: Path, role: Role) -> None:
    with pytest.raises(IntegrityError):
        write_document(SiteFolder(tmp_path), NamedDocument.of(role, b"right"), b"wrong")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("left_out", [None, "../x"])
def test_f16_a_mirror_of_an_index_that_is_gone_has_its_own_head(
    site: Path, tmp_path: Path, left_out: str | None
) -> None:
    if left_out is not None:
        _publish_by_another_program(site, left_out)
    with StaticStore(site, poll_interval=0) as store:
        lineage = Head.parse((site / "index.head.json").read_bytes()).lineage
        for path in [*(site / "index").iterdir(), site / "index.json"]:
            path.unlink()
        store_has_bytes = left_out is None
        report = mirror(store, tmp_path / "copy")
    copied = Head.parse((tmp_path / "copy" / "index.head.json").read_bytes())
    assert report.failed == []
    assert verify_site(tmp_path / "copy").wrong == []
    assert (copied.lineage == lineage) is store_has_bytes


def _publish_by_another_program(site: Path, key: str) -> None:
    """Publish an index with a key that readers leave out, and a head that names it."""
    body = json.dumps({**json.loads((site / "index.json").read_bytes()), key: {}}).encode()
    document = NamedDocument.of(Role.INDEX, body)
    (site / "index.json").unlink()
    (site / "index.json").write_bytes(body)
    (site / document.href).write_bytes(body)

    def change(said: Any) -> None:
        said["index"] = {**document.as_json(), "entries": 42}
        said["blocks"], said["changes"] = None, []

    change_head(site, change)


# The walk


def test_a_walk_yields_each_document_after_those_that_it_refers_to(site: Path) -> None:
    head = Head.parse((site / "index.head.json").read_bytes())
    named = list(named_documents(head, lambda one: (site / one.href).read_bytes()))
    assert [one.role for one in named] == [
        Role.CHANGES,
        Role.BLOCK_LIST,
        Role.BLOCK_ROOT,
        Role.INDEX,
    ]
    assert all(one.describes((site / one.href).read_bytes()) for one in named)


@pytest.mark.parametrize("root", [None, b"", b"{}", b"[" * 100_000])
def test_a_walk_continues_without_an_invalid_root(site: Path, root: bytes | None) -> None:
    head = Head.parse((site / "index.head.json").read_bytes())
    roles = [one.role for one in named_documents(head, lambda one: root)]
    assert roles == [Role.CHANGES, Role.BLOCK_ROOT, Role.INDEX]
