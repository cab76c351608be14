"""The first screen of the page: links to the first values, for browsers without scripts."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest

from staticstore.index.fields import key_to_url_path
from staticstore.site.documents.first_screen import FirstScreen
from staticstore.site.folder.site_folder import SiteFolder
from staticstore.site.publisher import publish

from ..sitefolder import make_site


class Links(HTMLParser):
    """The links of a text in HTML, with their texts, and all tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self.tags: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert {name for name, _ in attributes} <= {"href"}
        if tag == "a":
            self.found.append((dict(attributes)["href"] or "", ""))

    def handle_data(self, data: str) -> None:
        if self.found and self.lasttag == "bdi" and self.found[-1][1] == "":
            self.found[-1] = self.found[-1][0], data


def screen_of(site: Path) -> FirstScreen:
    return FirstScreen.of(SiteFolder(site))


def links(site: Path) -> list[tuple[str, str]]:
    return Links(screen_of(site).parts("data/")["links"]).found


def count(site: Path) -> str:
    return screen_of(site).parts("data/")["count"]


def test_it_has_the_first_200_keys_in_the_order_of_the_index(tmp_path: Path) -> None:
    site = make_site(tmp_path / "site", {f"{number:04}.txt": b"" for number in range(1234)})
    publish(site)
    assert links(site) == [(f"data/{number:04}.txt", f"{number:04}.txt") for number in range(200)]
    assert (
        count(site) == 'The first 200 of 1,234 values; <a href="index.json">index.json</a> has all.'
    )


HOSTILE = [
    "<script>alert(1)</script>",
    "a&amp;b",
    "\"><img src=x onerror='alert(1)'>",
    "{{script}}",
    "javascript:alert(1)",
    "C:/x",
    "100% é+#?.txt",
    "עברית.txt",
    "<!--",
]


def test_f10_a_hostile_key_is_text_and_its_link_is_quoted(tmp_path: Path) -> None:
    site = tmp_path
    index = {key: {"size": 3} for key in sorted(HOSTILE)}
    (site / "index.json").write_text(json.dumps(index), "utf-8")
    parsed = Links(screen_of(site).parts("data/")["links"])
    assert parsed.tags == {"ul", "li", "a", "bdi"}
    assert parsed.found == [(key_to_url_path("data/", key), key) for key in sorted(HOSTILE)]


def test_f10_what_is_no_key_is_left_out(tmp_path: Path) -> None:
    no_keys = ["../secret", "a//b", "/x", "", "\u202egpj.exe", "x\ny"]
    (tmp_path / "index.json").write_text(
        json.dumps({key: {} for key in [*no_keys, "good"]}), "utf-8"
    )
    assert links(tmp_path) == [("data/good", "good")]


def test_f10_the_words_of_the_site_are_text(tmp_path: Path) -> None:
    screen = FirstScreen([], 0, title="<b>&", description="<script>alert(1)</script>")
    parts = screen.parts("data/")
    assert parts["title"] == "&lt;b&gt;&amp;"
    assert "<script>" not in parts["description"]


def test_the_words_of_the_site_are_those_that_it_published(tmp_path: Path) -> None:
    site = make_site(tmp_path / "site", {"a": b""})
    (site / "about.toml").write_text('title = "Ilvar"\ndescription = "An island."\n')
    publish(site)
    assert (screen_of(site).title, screen_of(site).description) == ("Ilvar", "An island.")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"{\n}\n", "No values yet."),
        (b"{}", "No values yet."),
        (b"<html>", '<a href="index.json">index.json</a> lists the values.'),
        (b'{\n"a": [\n1}\n}\n', '<a href="index.json">index.json</a> lists the values.'),
        (b'{\n "a": {\n }\n}\n', '1 value, as <a href="index.json">index.json</a> lists it.'),
        (
            b'{\n"a":{},\n"b":{}\n}\n',
            '2 values, as <a href="index.json">index.json</a> lists them.',
        ),
    ],
)
def test_the_values_are_counted_if_the_index_is_one(
    tmp_path: Path, body: bytes, expected: str
) -> None:
    (tmp_path / "index.json").write_bytes(body)
    assert count(tmp_path) == expected


def test_a_site_without_an_index_says_what_writes_one(tmp_path: Path) -> None:
    assert "staticstore publish" in count(tmp_path)


def test_only_the_beginning_of_a_long_index_is_read(tmp_path: Path) -> None:
    line = b'"%06d":{"text":"%s"},\n'
    lines = b"".join(line % (number, b"x" * 20_000) for number in range(200))
    (tmp_path / "index.json").write_bytes(b"{\n" + lines + b"broken")
    assert len(links(tmp_path)) == (1 << 20) // len(line % (0, b"x" * 20_000))
    assert count(tmp_path).startswith("The first 52 values; ")


@pytest.mark.parametrize("indent", [None, 1])
def test_many_long_keys_are_cut_short(tmp_path: Path, indent: int | None) -> None:
    index = {f"{number:03}{'&' * 2000}": {"size": 1} for number in range(200)}
    (tmp_path / "index.json").write_text(json.dumps(index, indent=indent), "utf-8")
    assert len(links(tmp_path)) == 32
    assert count(tmp_path).startswith("The first 32 values; ")


def test_an_index_outside_of_the_site_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text('{"secret": {}}')
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.json").symlink_to(tmp_path / "secret.json")
    assert links(tmp_path / "site") == []
