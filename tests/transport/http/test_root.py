"""All forms in which a root can be given."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path, PureWindowsPath
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from staticstore import StaticStore
from staticstore.transport.http.root import Origin, Root, checked_origins, origin_of

# -- URLs ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("https://data.example", "https://data.example/"),
        ("https://data.example/", "https://data.example/"),
        ("https://data.example/site", "https://data.example/site/"),
        ("https://data.example/site/", "https://data.example/site/"),
        ("HTTPS://Data.Example/Site/", "https://data.example/Site/"),
        ("http://data.example:80/", "http://data.example:80/"),
        ("http://data.example:8000", "http://data.example:8000/"),
        ("http://data.example:/", "http://data.example/"),
        ("http://[2001:DB8::1]/", "http://[2001:db8::1]/"),
        ("http://[::1]:8000/site", "http://[::1]:8000/site/"),
        ("http://192.0.2.1/", "http://192.0.2.1/"),
        ("https://data.example/a%20b/", "https://data.example/a%20b/"),
        ("https://data.example/a b/", "https://data.example/a%20b/"),
        ("https://data.example/%C3%A9/", "https://data.example/%C3%A9/"),
        ("https://data.example/é/日本", "https://data.example/%C3%A9/%E6%97%A5%E6%9C%AC/"),
        ("https://data.example/a+b;c=d,e!(f)'*/~x", "https://data.example/a+b;c=d,e!(f)'*/~x/"),
        ("https://data.example/a@b:c/", "https://data.example/a@b:c/"),
        ('https://data.example/"<>^`{|}/', "https://data.example/%22%3C%3E%5E%60%7B%7C%7D/"),
        ("https://data.example/\\x/", "https://data.example/%5Cx/"),
        ("https://data.example//x//", "https://data.example//x//"),
        ("https://ali:sesame@data.example/site", "https://data.example/site/"),
        ("https://data.example/site?sig=sesame", "https://data.example/site/"),
        ("https://data.example?sig=sesame", "https://data.example/"),
        ("https://data.example/?", "https://data.example/"),
        ("https://data.example/#", "https://data.example/"),
    ],
)
def test_a_root_url_is_normalized_and_ends_in_a_slash(location: str, url: str) -> None:
    root = Root(location)
    assert root.url == url
    assert repr(root) == f"<Root: {url}>"
    assert not root.is_local


@pytest.mark.parametrize(
    ("location", "meant"),
    [
        ("data.example.org/site", "https://data.example.org/site"),
        ("data.example.org:8080", "https://data.example.org:8080"),
        ("localhost:8000/site/?sig=sesame", "http://localhost:8000/site/"),
        ("127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("192.0.2.1/site", "https://192.0.2.1/site"),
    ],
)
def test_a_url_without_its_scheme_gets_a_hint(location: str, meant: str) -> None:
    with pytest.raises(ValueError, match="there is no folder") as caught:
        StaticStore(location)
    assert str(caught.value).endswith(f": did you mean {meant!r}?")


def test_a_folder_named_like_a_host_is_a_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data.example.org" / "site").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert Root("data.example.org/site").folder == f"{tmp_path}/data.example.org/site/"


@pytest.mark.parametrize("location", ["./data.example.org", Path("data.example.org"), "v1.0"])
def test_what_is_clearly_a_path_gets_no_hint(location: str | Path) -> None:
    assert Root(location).is_local


@pytest.mark.parametrize(
    ("location", "root"),
    [
        ("https://ali:sesame@data.example/site/index.json", "https://data.example/site/"),
        ("https://data.example/index.json?sig=sesame", "https://data.example/"),
        ("https://data.example/index.head.json", "https://data.example/"),
        ("site/index.json", "site/"),
        ("index.json", "."),
    ],
)
def test_a_root_that_ends_in_the_index_gets_a_hint(location: str, root: str) -> None:
    with pytest.raises(ValueError, match=r"^leave index\.(head\.)?json out: ") as caught:
        StaticStore(location)
    assert str(caught.value).endswith(f", {root!r}")
    assert "sesame" not in str(caught.value)


def test_the_home_folder_is_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Root("~/site").folder == f"{tmp_path}/site/"


@pytest.mark.parametrize("path", ["100%", "100%/a%20b", "50%zz"])
def test_a_percent_sign_without_hex_digits_is_quoted(path: str) -> None:
    assert Root(f"https://data.example/{path}").url.count("%25") == 1


@pytest.mark.parametrize(
    ("userinfo", "expected"),
    [
        ("", None),
        ("@", ("", "")),
        ("ali@", ("ali", "")),
        ("ali:@", ("ali", "")),
        (":sesame@", ("", "sesame")),
        ("ali:sesame@", ("ali", "sesame")),
        ("ali:open:sesame@", ("ali", "open:sesame")),
        ("ali:open@sesame@", ("ali", "open@sesame")),
        ("al%40i:s%2Fe%3Fs%23a%25m%3Ae@", ("al@i", "s/e?s#a%m:e")),
        ("al%C3%AD:s%C3%A9same@", ("alí", "sésame")),
        ("alí:sésame@", ("alí", "sésame")),
        ("ali:a+b@", ("ali", "a+b")),
    ],
)
def test_user_and_password_are_removed_from_the_url_and_unquoted(
    userinfo: str, expected: tuple[str, str] | None
) -> None:
    root = Root(f"https://{userinfo}data.example:8443/site/")
    assert root.userinfo == expected
    assert root.url == "https://data.example:8443/site/"


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("https://data.example/site", "https://data.example/site/data/a%20b"),
        ("https://data.example/site/?sig=a%2Fb", "https://data.example/site/data/a%20b?sig=a%2Fb"),
        ("https://data.example?x", "https://data.example/data/a%20b?x"),
        ("https://data.example/?a=1&b=?", "https://data.example/data/a%20b?a=1&b=?"),
    ],
)
def test_a_query_is_appended_to_every_url_below_the_root(location: str, url: str) -> None:
    root = Root(location)
    assert root.join("data/a%20b") == url
    assert ("?" in root.join("x")) == ("?" in location)


@pytest.mark.parametrize("url_path", ["../x", "//evil.example/x", "/x", "http://evil.example/"])
def test_joining_a_url_resolves_nothing(url_path: str) -> None:
    assert (
        Root("https://data.example/site").join(url_path) == f"https://data.example/site/{url_path}"
    )


@pytest.mark.parametrize(
    ("location", "complaint"),
    [
        ("ftp://data.example/", "not ftp:"),
        ("dav://bucket/site", "not dav:"),
        ("javascript:alert(1)", "not javascript:"),
        ("data:text/plain,x", "not data:"),
        ("localhost:8000", r"did you mean .http:..localhost:8000.\?"),
        ("data.example:8000/site", r"did you mean .https:..data.example:8000/site.\?"),
        ("http:", "names no host"),
        ("http://", "names no host"),
        ("http:///site", "names no host"),
        ("http:site", "names no host"),
        ("https://@/", "names no host"),
        ("https://:80/", "names no host"),
        ("https://?x", "names no host"),
        ("https://data example.org/", "names no host"),
        ("https://data.example/#part", "no fragment"),
        ("https://data.example:port/", "cannot be read"),
        ("https://data.example:99999/", "cannot be read"),
        ("https://data.example:-1/", "cannot be read"),
        ("https://[::1/", "cannot be read"),
        ("https://[zz]/", "cannot be read"),
        ("https://::1/", "cannot be read"),
        ("https://data\u2100.example/", "cannot be read"),
        ("file://data.example/site", "on this machine, not on 'data.example'"),
    ],
)
def test_an_invalid_root_is_refused(location: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Root(location)


@pytest.mark.parametrize("location", [b"/srv/site", 5, None, ["/srv"]])
def test_a_root_is_a_string_or_a_path(location: object) -> None:
    with pytest.raises(TypeError):
        Root(location)  # type: ignore[arg-type]


def test_a_path_of_bytes_is_refused() -> None:
    class BytesPath(os.PathLike[bytes]):
        def __fspath__(self) -> bytes:
            return b"/srv"

    with pytest.raises(TypeError, match="not bytes"):
        Root(BytesPath())  # type: ignore[arg-type]


@settings(deadline=None)
@given(st.text(max_size=30))
def test_any_text_is_a_root_or_a_value_error(text: str) -> None:
    try:
        root = Root(f"https://data.example{text}")
    except ValueError:
        return
    assert root.url.isascii() or not text.isascii()
    assert root.url.startswith("https://")
    assert root.url.endswith("/")


# -- folders ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["site", "a b", "é日本", "100%", "a?b#c", "a;b&c=d", "~x", "a:b"])
def test_a_path_and_its_file_url_are_the_same_root(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    url = folder.as_uri()
    roots = [Root(folder), Root(str(folder)), Root(f"{folder}/"), Root(url), Root(f"{url}/")]
    assert {root.url for root in roots} == {f"{url}/"}
    assert all(root.is_local for root in roots)


@pytest.mark.parametrize("form", ["file://{}", "file:{}", "file://localhost{}", "FILE://{}"])
def test_every_form_of_a_file_url_is_accepted(tmp_path: Path, form: str) -> None:
    assert Root(form.format(tmp_path)).url == f"{tmp_path.as_uri()}/"


def test_a_relative_path_is_made_absolute_immediately(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    root = Root("site")
    monkeypatch.chdir("/")
    assert root.url == f"{(tmp_path / 'site').as_uri()}/"


def test_the_root_folder_is_a_valid_root() -> None:
    assert Root("/").url == "file:///"


@pytest.mark.parametrize("path", ["C:\\data\\site", "C:/data/site", "c:", "D:site"])
def test_a_drive_letter_is_not_a_scheme(path: str) -> None:
    assert Root(path).is_local


def test_a_windows_path_becomes_the_url_of_its_drive(monkeypatch: pytest.MonkeyPatch) -> None:
    class WindowsPath(PureWindowsPath):
        def absolute(self) -> PureWindowsPath:
            return self

    monkeypatch.setattr("pathlib.Path", WindowsPath)
    assert Root("C:\\data sets\\site").url == "file:///C:/data%20sets/site/"
    assert Root("\\\\server\\share\\site").url == "file://server/share/site/"


# -- origins ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://data.example/x", Origin("http", "data.example", 80)),
        ("https://data.example", Origin("https", "data.example", 443)),
        ("HTTPS://Data.Example:443/", Origin("https", "data.example", 443)),
        ("https://data.example.:8443/", Origin("https", "data.example", 8443)),
        ("http://[::1]:80/", Origin("http", "::1", 80)),
        ("http://ali:sesame@data.example/", Origin("http", "data.example", 80)),
        ("file:///srv", Origin("file", "", None)),
    ],
)
def test_an_origin_consists_of_scheme_host_and_port(url: str, origin: Origin) -> None:
    assert origin_of(url) == origin


@pytest.mark.parametrize("url", ["http://h:port/", "http://h:70000/", "http://[::1/"])
def test_a_url_without_an_origin_is_a_value_error(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        origin_of(url)


@pytest.mark.parametrize(
    ("url", "shared"),
    [
        ("https://data.example/other/", True),
        ("https://data.example:443/", True),
        ("https://DATA.example./?x", True),
        ("https://data.example:8443/", False),
        ("http://data.example/", False),
        ("http://data.example:443/", False),
        ("https://www.data.example/", False),
        ("https://data.example.evil.example/", False),
        ("https://data.example@evil.example/", False),
        ("https://evil.example/data.example", False),
        ("https://xdata.example/", False),
    ],
)
def test_only_the_same_scheme_host_and_port_get_secrets(url: str, shared: bool) -> None:
    assert Root("https://data.example/site").shares_origin(url) is shared


# -- other origins ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://cdn.example.org", "https://cdn.example.org:443"),
        ("https://cdn.example.org:443", "https://cdn.example.org:443"),
        ("HTTPS://CDN.Example.org/", "https://cdn.example.org:443"),
        ("https://cdn.example.org.", "https://cdn.example.org:443"),
        ("http://cdn.example.org", "http://cdn.example.org:80"),
        ("http://10.0.0.1:8080", "http://10.0.0.1:8080"),
        ("http://[FD00::1]", "http://[fd00::1]:80"),
        ("https://bücher.example", "https://bücher.example:443"),
    ],
)
def test_a_named_origin_is_written_with_its_port(text: str, origin: str) -> None:
    assert checked_origins([text]) == (origin,)


@pytest.mark.parametrize("origins", ["own", "any"])
def test_origins_may_be_given_by_a_single_word(origins: str) -> None:
    assert checked_origins(origins) == origins


@pytest.mark.parametrize("kind", [list, tuple, set, iter])
def test_origins_may_be_any_sequence_and_duplicates_are_dropped(
    kind: Callable[[list[str]], Any],
) -> None:
    origins = kind(["https://a.example", "https://a.example:443/"])
    assert checked_origins(origins) == ("https://a.example:443",)


def test_checking_origins_twice_changes_nothing() -> None:
    once = checked_origins(["https://a.example", "http://[::1]:8000"])
    assert checked_origins(once) == once


@pytest.mark.parametrize("origins", [None, 5, True, b"own", {"https://a.example": 1}, [b"x"], [5]])
def test_origins_that_are_not_strings_are_a_type_error(origins: Any) -> None:
    with pytest.raises(TypeError, match="str"):
        checked_origins(origins)


@pytest.mark.parametrize(
    ("origins", "problem"),
    [
        ("", "a list such as"),
        ("OWN", "a list such as"),
        ("https://cdn.example.org", "a list such as"),
        ([""], "does not begin with http"),
        (["own"], "does not begin with http"),
        (["any"], "does not begin with http"),
        (["cdn.example.org"], "does not begin with http"),
        (["//cdn.example.org"], "does not begin with http"),
        (["ftp://cdn.example.org"], "does not begin with http"),
        (["file:///srv"], "does not begin with http"),
        (["https://"], "names no host"),
        (["https://:443"], "names no host"),
        (["https://*.example.org"], "names no host"),
        (["https://a%2eexample.org"], "names no host"),
        (["https://cdn example.org"], "names no host"),
        (["https://cdn.example.org:port"], "cannot be read"),
        (["https://cdn.example.org:0"], "cannot be read"),
        (["https://cdn.example.org:65536"], "cannot be read"),
        (["https://[::1"], "cannot be read"),
        (["https://cdn.example.org/data/"], "is more than"),
        (["https://cdn.example.org/?"], "is more than"),
        (["https://cdn.example.org#"], "is more than"),
        (["https://cdn.example.org\n"], "is more than"),
        (["https://ali@cdn.example.org"], "is more than"),
    ],
)
def test_an_invalid_origin_is_a_value_error(origins: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        checked_origins(origins)


def test_the_error_for_an_origin_contains_no_password() -> None:
    for origins in ("https://ali:sesame@a.example", ["https://ali:sesame@a.example?sesame"]):
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            checked_origins(origins)
        assert "sesame" not in str(caught.value)


@pytest.mark.parametrize("origins", [5, [b"x"], "cdn.example.org", ["https://*"]])
def test_a_store_refuses_invalid_origins_immediately(origins: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="origin"):
        StaticStore("https://data.example.org", origins=origins)
