"""F11, F6: which keys are withheld, in which spellings, and which files hold private keys."""

from __future__ import annotations

import pytest

from staticstore.site.folder.data_file import FIRST_BYTES, holds_private_key
from staticstore.site.folder.withheld import is_hidden, may_be_withheld, withheld_key

BASE64 = b"MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n"


def names_of(key: str) -> tuple[str, ...] | None:
    withheld = withheld_key(key)
    assert (withheld is not None) <= may_be_withheld(["a.csv", key, "z/b.csv"])
    return None if withheld is None else withheld.names


# Spellings


@pytest.mark.parametrize(
    "spelling",
    [
        ".git",
        ".GIT",
        ".gIt",
        ".git.",
        ".git ",
        ".git. . .",
        ".git::$INDEX_ALLOCATION",
        ".git:x",
        ".git . :x",
        ".g\u200cit",
        "\u200d.git",
        ".git\u200e",
        ".gi\u200ft",
        ".\u202agit",
        ".g\u202eit",
        ".gi\u206at",
        ".git\u206f",
        "\ufeff.git",
        ".gi\u00adt",
        ".g\ufe0fit",
        ".\uff27\uff29\uff34",
        "\uff0egit",
        ".g\u0131t",
        "\u2024git",
    ],
)
def test_f11_a_folder_is_withheld_in_each_spelling(spelling: str) -> None:
    for below in ("", "a/", "a/b/c/"):
        assert names_of(f"{below}{spelling}/config") == (".git",)


def test_f11_what_hfs_takes_no_notice_of_hides_no_name() -> None:
    """As in git's `is_hfs_dotgit`."""
    ranges = [(0x200C, 0x200F), (0x202A, 0x202E), (0x206A, 0x206F), (0xFEFF, 0xFEFF)]
    name = ".htaccess"
    for first, last in ranges:
        for character in map(chr, range(first, last + 1)):
            for at in range(len(name) + 1):
                assert names_of(name[:at] + character + name[at:]) == (name,)


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        (".\u00dfh/id", ".ssh"),
        (".\u017f\u017fh/id", ".ssh"),
        (".\u1e9eh/id", ".ssh"),
        (".\u212aube/config", ".kube"),
        (".bo\ufb05o", None),
        (".aw\u017f/x", ".aws"),
        (".s\u0301sh", None),
    ],
)
def test_f11_what_file_systems_fold_is_one_name(spelling: str, name: str | None) -> None:
    assert names_of(spelling) == (None if name is None else (name,))


@pytest.mark.parametrize(
    "short",
    [
        "git~{}/config",
        "GIT~{}",
        "git~{}. /x",
        "git~{}:x",
        "HTACCE~{}",
        "htpass~{}",
        "ssh~{}/id",
        "netrc~{}",
        "env~{}",
        "env~{}.loc",
        "git-cr~{}",
        "id_ed2~{}",
        "docker~{}/config~1.jso",
        "rclone~{}.con",
        "my~{}.cnf",
        "terraf~{}.tfs",
        "passwo~{}.kdb",
        "bash_h~{}",
        "static~{}/notes.json",
    ],
)
def test_f11_short_names_of_ntfs_are_withheld(short: str) -> None:
    for number in (1, 2, 3, 4):
        assert names_of(f"a/{short.format(number)}") is not None


@pytest.mark.parametrize(
    "key",
    [".git\\config", "a\\.git\\config", "a\\.htaccess", "a/b\\.ssh\\id", ".docker\\config.json"],
)
def test_f11_windows_takes_a_backslash_for_a_slash(key: str) -> None:
    assert names_of(key) is not None


@pytest.mark.parametrize(
    "key",
    [
        "dem~1.tif",
        "gitx~1",
        "git~5",
        "git~12",
        "x~1",
        "a.b.",
        "a b ",
        "a:b",
        "..git",
        "...",
        "git",
        "a.git",
        ".gitignore",
        ".gitattributes",
        ".github/x.yml",
        ".zarray",
        "z.zarr/.zattrs",
        "z.zarr/c/0/0",
        ".environment",
        "environment",
        "env",
        "prod.environment",
        "tokyo.env/2020.csv",
        "credentials/2020.csv",
        "credentials.csv",
        "docker/config.json",
        "config.json",
        ".docker/readme.md",
        ".config/data.csv",
        "kube/config",
        "history.csv",
        "bash_history",
        "x.tfstates",
        "id_rsa.pub",
        "id_rsa.pub.",
        "id_rsa_statistics.csv",
        "id_ed2~1.pub",
        "netrc.csv",
        "p12",
        "x.p12.csv",
        ".g\u00edt/x",
        "\u65e5\u672c/data.csv",
        ".well-known/x",
        ".html",
    ],
)
def test_what_is_normally_data_stays_data(key: str) -> None:
    assert names_of(key) is None


# The list


@pytest.mark.parametrize(
    "key",
    """.cdsapirc .dodsrc .docker/config.json .kube/config .bash_history .python_history .s3cfg .boto
    .my.cnf .envrc prod.env a/b.env rclone.conf credentials .aws/credentials .gitconfig .vault-token
    .dockercfg terraform.tfstate x.p12 y.kdbx .zsh_history .psql_history .mysql_history .Renviron
    .Rhistory .config/gcloud/credentials.db terraform.tfstate.backup z.pfx k.jks .rclone.conf
    .terraform/x .bzr/x .ecmwfapirc .netrc .pgpass .streamlit/secrets.toml .cargo/credentials.toml
    .cargo/credentials""".split(),  # noqa: SIM905
)
def test_f11_files_that_hold_credentials_are_withheld(key: str) -> None:
    for spelling in (key, key.upper(), f"sub/{key}", f"{key}.", f"{key}::$DATA"):
        withheld = withheld_key(spelling)
        assert withheld is not None, spelling
        assert withheld.kind == "secret"


@pytest.mark.parametrize(
    ("key", "is_new"),
    [
        (".git/x", False),
        ("GIT~1/x", False),
        (".g\u200cit/x", False),
        (".env.local", False),
        (".aws/credentials", False),
        (".envrc", True),
        ("a/prod.env", True),
        (".git/prod.env", False),
    ],
)
def test_what_earlier_versions_published_is_told(key: str, is_new: bool) -> None:
    withheld = withheld_key(key)
    assert withheld is not None
    assert withheld.is_new is is_new


# Names that are allowed


@pytest.mark.parametrize(
    ("key", "allowed"),
    [
        (".git/config", [".git"]),
        (".GIT./config", [".git"]),
        (".git/config", [".GIT"]),
        ("a/.env", [".env"]),
        ("a/.env", ["a/.env"]),
        ("a/prod.env", ["*.env"]),
        (".ssh/id_rsa", [".ssh", "id_rsa"]),
        (".docker/config.json", [".docker/config.json"]),
    ],
)
def test_an_allowed_name_is_not_withheld(key: str, allowed: list[str]) -> None:
    assert withheld_key(key) is not None
    assert withheld_key(key, allowed) is None


@pytest.mark.parametrize(
    ("key", "allowed"),
    [
        (".git/prod.env", ["*.env"]),
        (".ssh/id_rsa", [".ssh"]),
        ("b/.env", ["a/.env"]),
        (".htaccess", [".git"]),
        (".htaccess", [""]),
        ("git~1/config", [".git"]),
        (".git/config", ["config"]),
    ],
)
def test_every_withheld_name_of_a_key_has_to_be_allowed(key: str, allowed: list[str]) -> None:
    assert withheld_key(key, allowed) is not None


# A site's own folder


@pytest.mark.parametrize(
    "path",
    [
        ".staticstore/notes.json",
        ".STATICSTORE/x",
        "\u200c.hidden",
        "static~1/notes.json",
        "data/.staticstore/x",
        ".x",
        "about.toml",
        "ABOUT.toml",
        "about.toml.",
        "about.toml::$DATA",
        "about~1.tom",
        "metadata.json",
        "metadata.toml",
        "metadata.csv",
        "Metadata.CSV",
        "metadata.csv. ",
        "metadata.csv:x",
        "meta\u200bdata.json",
        "metadata.csv~",
        "metadata.csv.bak",
        "metada~1.jso",
    ],
)
def test_what_is_the_publishers_own_is_hidden(path: str) -> None:
    assert is_hidden(path)


@pytest.mark.parametrize(
    "path",
    [
        ".nojekyll",
        "index.json",
        "about.json",
        "data/.zattrs",
        "data/a",
        "data/metadata.csv",
        "data/about.toml",
        "metadata",
        "metadata/a.csv",
        "my-metadata.csv",
    ],
)
def test_what_a_site_consists_of_is_not_hidden(path: str) -> None:
    assert not is_hidden(path)


# Contents


@pytest.mark.parametrize(
    "text",
    [
        b"# my server\n\n-----BEGIN PRIVATE KEY-----\n" + BASE64,
        b"x\n" * 30_000 + b"-----BEGIN RSA PRIVATE KEY-----\n" + BASE64,
        b"a\r\n-----BEGIN EC PRIVATE KEY-----\r\n" + BASE64,
        b"key: |\n  -----BEGIN RSA PRIVATE KEY-----\n  " + BASE64,
        b'KEY="-----BEGIN RSA PRIVATE KEY-----\n' + BASE64 + b'"',
        b"<key>\n-----BEGIN PRIVATE KEY-----\n" + BASE64,
        b"<key>-----BEGIN PRIVATE KEY-----\n" + BASE64,
        b'{"k": "-----BEGIN PRIVATE KEY-----\\nMIIEvQIBADANBgkqhki\\n"}',
        b'1,"-----BEGIN PRIVATE KEY-----\\\\nMIIEvQIBADANBgkqhki"\n',
        b"a\n-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES\n\n" + BASE64,
        b"a\n-----BEGIN ENCRYPTED PRIVATE KEY-----\nrole: root\n\n" + BASE64,
        b"a\n-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nlQOYBF==\n",
        b'a\n---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nComment: "x"\n' + BASE64,
        b"a\n-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNz\n-----END OPENSSH PRIVATE KEY-----\n",
        b"\nPuTTY-User-Key-File-2: ssh-rsa\nEncryption: none\n",
        b'{"type": "service_account", "private_key": "x"}',
        b'[{"a": {"private_key" :\n "-----BEGIN"}}]',
        b'\xef\xbb\xbf{"private_key":"x"}',
        ('{"private_key": "x"}').encode("utf-16"),
        ("a\n-----BEGIN PRIVATE KEY-----\n" + BASE64.decode()).encode("utf-16"),
    ],
)
def test_f6_a_key_is_found_behind_other_things(text: bytes) -> None:
    assert holds_private_key(text[:FIRST_BYTES])


@pytest.mark.parametrize(
    "text",
    [
        b"A key file begins with -----BEGIN PRIVATE KEY----- and goes on with base64.\n",
        b"Look for the line\n-----BEGIN PRIVATE KEY-----\nat the beginning of the file.\n",
        b"```\n-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----\n```\n",
        b"if line == '-----BEGIN PRIVATE KEY-----':\n    return internationalization(line)\n",
        b"grep 'BEGIN PRIVATE KEY' *\n",
        b"The line\nPuTTY-User-Key-File-3: is how its files begin\n",
        b"a\n-----BEGIN PUBLIC KEY-----\n" + BASE64,
        b"-----BEGIN CERTIFICATE-----\n" + BASE64,
        b'the field "private_key" of the file',
        b'{"properties": {"private_key": {"type": "string"}}}',
        b'{"private_key": null, "private_key_id": "x"}',
        b'{"private_key": ""}',
    ],
)
def test_f6_a_text_about_keys_is_data(text: bytes) -> None:
    assert not holds_private_key(text)


@pytest.mark.parametrize(
    "piece",
    [b"\\n", b"\n", b" ", b"\\", b"A ", b" a: b\n", b"-----BEGIN PRIVATE KEY-----", b"-", b"a\n"],
)
def test_f6_no_text_makes_the_search_long(piece: bytes) -> None:
    """A pattern that goes back and forth over 64 KiB would not come to an end."""
    begin = b"a\n-----BEGIN PRIVATE KEY-----"
    text = (begin + piece * FIRST_BYTES)[: FIRST_BYTES - 1] + b"!"
    assert not holds_private_key(text)


@pytest.mark.parametrize("name", ["x.p12:", ".tfstate:", "id_rsa.", ".git: ", ". :"])
def test_a8_a_key_of_repeated_names_makes_no_search_long(name: str) -> None:
    may_be_withheld([name * 20_000 + "/x"])
    withheld_key(name * 20_000 + "/x")


@pytest.mark.parametrize("behind", [":x", "::$DATA", ":x:$DATA", ". :x:$DATA"])
def test_f11_a_stream_of_ntfs_is_the_file_itself(behind: str) -> None:
    assert names_of(f"a/x.p12{behind}") == ("x.p12",)
