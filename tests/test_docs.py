"""The documentation is built without a warning, is complete, and its links lead somewhere."""

from __future__ import annotations

import doctest
import importlib.util
import inspect
import os
import re
import shutil
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import pytest

import staticstore
from staticstore.client.views import StoreView

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
FILES = sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)
# The vectors are no pages of the site, but files that it links to.
PAGES = [
    path.relative_to(DOCS).with_suffix("").as_posix()
    for path in FILES
    if DOCS / "vectors" not in path.parents
]
TEXTS = [*sorted(ROOT.glob("*.md")), *FILES]
CLASSES = [name for name in staticstore.__all__ if inspect.isclass(getattr(staticstore, name))]
# For the package itself, and not for its users.
INNER = {
    "Change": {"after", "before"},
    "Index": {
        "changed_by", "checked", "checking", "content_of", "contents_of", "described",
        "differing_keys", "differs", "document", "is_canonical", "is_checked", "is_document",
        "keys_from",
        "keys_of_other_bytes", "lines", "only", "packed_entries", "raw", "readable", "refusal",
        "shares_with", "stored",
    },
    "PublishedAt": {"read"},
    "URLValue": {"remote_value"},
    "Subscription": {
        "after_fork", "candidates", "catch_up", "deliver", "deliver_all", "deliver_batch",
        "deliver_changes", "deliver_found",
    },
}  # fmt: skip

# Says on the standard error what Sphinx and its processes look for on the net.
BUILD = """
import sys
sys.addaudithook(
    lambda event, arguments: event in ("socket.connect", "socket.getaddrinfo")
    and print(event, arguments, file=sys.stderr)
)
from sphinx.cmd.build import main
sys.exit(main(sys.argv[1:]))
"""


class Site(NamedTuple):
    """What `make docs` builds."""

    folder: Path
    messages: str
    status: int

    def inventory(self) -> set[str]:
        """Return the names that the reference describes."""
        text = (self.folder / "objects.inv").read_bytes()
        lines = zlib.decompress(text.split(b"\n", 4)[4]).decode().splitlines()
        return {line.split(" ")[0] for line in lines if " py:" in line}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    for name in ("sphinx", "sphinx_click", "myst_parser", "furo"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    folder = tmp_path_factory.mktemp("docs")
    options = ["-b", "html", "-q", "-W", "--keep-going", "-j", "2", "-d", str(folder / "doctrees")]
    # To trace Sphinx line by line would take twice as long.
    environment = {name: os.environ[name] for name in os.environ if "COVERAGE" not in name}
    done = subprocess.run(
        [sys.executable, "-c", BUILD, *options, str(DOCS), str(folder / "html")],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return Site(folder / "html", done.stdout + done.stderr, done.returncode)


def test_the_site_is_built_without_a_warning_and_without_the_net(site: Site) -> None:
    assert (site.messages, site.status) == ("", 0)


def test_every_page_stands_in_the_sidebar(site: Site) -> None:
    links = set(re.findall(r'href="([^"#]+)\.html"', (site.folder / "index.html").read_text()))
    assert links.issuperset(set(PAGES) - {"index"})


@pytest.mark.parametrize("name", staticstore.__all__)
def test_a_public_name_is_described(site: Site, name: str) -> None:
    assert f"staticstore.{name}" in site.inventory()


@pytest.mark.parametrize("name", CLASSES)
def test_the_public_methods_of_a_class_are_described(site: Site, name: str) -> None:
    kind = getattr(staticstore, name)
    written = {
        attribute
        for base in kind.__mro__
        if base.__module__.startswith("staticstore.")
        for attribute, value in vars(base).items()
        if not attribute.startswith("_")
        if callable(value) or isinstance(value, property | classmethod | staticmethod)
    }
    # The methods of a view are those of a store.
    described = "StaticStore" if issubclass(kind, StoreView) else name
    wanted = {
        f"staticstore.{described}.{attribute}" for attribute in written - INNER.get(name, set())
    }
    assert wanted - site.inventory() == set()


def test_what_counts_as_inner_exists() -> None:
    for name, attributes in INNER.items():
        assert attributes.issubset(dir(getattr(staticstore, name)))


def test_every_public_module_is_described(site: Site) -> None:
    public = (DOCS / "architecture.md").read_text("utf-8").partition("## What is public")[2]
    modules = set(re.findall(r"`(staticstore(?:\.[a-z]\w*)+)`", public))
    assert len(modules) >= 4
    assert modules - site.inventory() == set()


class Resources(HTMLParser):
    """Collects what a browser fetches to show a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.urls: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            is_link = name in ("href", "xlink:href") and tag in ("link", "image", "use")
            if is_link or name in ("src", "srcset", "data", "poster"):
                self.urls.append(value or "")
            elif name == "style":
                self.urls += urls_of(value or "")


def urls_of(style: str) -> list[str]:
    return re.findall(r"""(?:url\(|@import)\s*["']?([^"')\s;]+)""", style)


def test_nothing_comes_from_another_host(site: Site) -> None:
    urls: list[str] = []
    for path in site.folder.rglob("*"):
        if path.suffix in (".html", ".svg"):
            text = path.read_text("utf-8")
            urls += Resources(text).urls + [
                url
                for style in re.findall(r"<style.*?</style>", text, re.S)
                for url in urls_of(style)
            ]
        elif path.suffix == ".css":
            urls += urls_of(path.read_text("utf-8"))
    assert any(url.startswith("_static/") for url in urls)
    assert [url for url in urls if urlsplit(url).netloc] == []


def plain(text: str) -> str:
    """Return Markdown without its code, in which nothing is a link or a heading."""
    text = re.sub(r"^( *)(```+|~~~+).*?^\1\2`*$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", lambda code: f"`{code[0].strip('`')}`", text)


def without_code(text: str) -> str:
    return re.sub(r"`[^`]*`", "", plain(text))


def anchors(path: Path) -> Iterator[str]:
    """Yield the anchors that a forge gives to the headings of a file."""
    seen: Counter[str] = Counter()
    for heading in re.findall(r"^#+ +(.*?)[ #]*$", plain(path.read_text("utf-8")), re.MULTILINE):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        yield f"{slug}-{seen[slug]}" if seen[slug] else slug
        seen[slug] += 1


def broken_links(path: Path) -> Iterator[str]:
    for link in re.findall(r"\]\(<?([^)>\s]+)[^)]*\)", without_code(path.read_text("utf-8"))):
        parts = urlsplit(link)
        if parts.scheme:
            continue
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        is_heading = target.suffix == ".md" and bool(parts.fragment)
        if not target.exists() or (is_heading and parts.fragment not in anchors(target)):
            yield link


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_links_of_a_text_lead_to_files_and_headings(path: Path) -> None:
    assert list(broken_links(path)) == []


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# One `two`, three\n[a](#one-two-three) [b](page.md#four) [c](none.md)\n"
        "`[d](none.md)`\n```\n[e](none.md)\n# Four\n```\n"
    )
    assert list(broken_links(page)) == ["page.md#four", "none.md"]


@pytest.mark.parametrize("page", ["index", "reference/cache"])
def test_the_example_of_a_page_prints_what_it_shows(
    page: str, sample_site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(sample_site, "my_site")
    blocks = re.findall(
        r"^```pycon\n(.*?)^```$", (DOCS / f"{page}.md").read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    names: dict[str, object] = {"sample_site": sample_site}
    example = doctest.DocTestParser().get_doctest("\n".join(blocks), names, page, None, 0)
    assert doctest.DocTestRunner().run(example, clear_globs=False).failed == 0
    store = example.globs.get("store")
    assert isinstance(store, staticstore.StaticStore)
    store.disconnect()
