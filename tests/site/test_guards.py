"""F8, F13, F16: what one rarely means is refused by one rule, says so, and writes nothing."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from staticstore import StaticStore, mirror, publish, push
from staticstore.index.head import Head
from staticstore.site.guards import GUARDS, Guards, NothingMatchesError, RefusedError
from staticstore.site.mirroring.run import MirrorRun
from staticstore.site.publisher import verify_site
from tests.sites import write_site

from .sitefolder import fill, index_of, make_site, tree

MANY = {f"{number:02}.txt": b"%d" % number for number in range(30)}
Copied = Callable[..., object]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    site = make_site(tmp_path / "site", MANY)
    publish(site)
    return site


@pytest.fixture
def copied(site: Path, tmp_path: Path) -> Iterator[Copied]:
    """What mirrors the site as it is now to `copy`."""
    with ExitStack() as stack:

        def run(**options: object) -> object:
            store = stack.enter_context(StaticStore(site, poll_interval=0))
            return mirror(store, tmp_path / "copy", **options)  # type: ignore[arg-type]

        yield run


def head_of(site: Path) -> Head:
    return Head.parse((site / "index.head.json").read_bytes())


def keep(site: Path, count: int) -> None:
    """Remove all values but so many."""
    for key in list(MANY)[count:]:
        (site / "data" / key).unlink()


# The rule


@pytest.mark.parametrize(
    ("before", "after", "is_refused"),
    [
        (0, 0, False),
        (1, 0, True),
        (19, 1, False),
        (20, 10, False),
        (20, 9, True),
        (21, 10, True),
        (5, 8, False),
    ],
)
def test_f8_none_left_or_fewer_than_half_of_many_is_refused(
    before: int, after: int, is_refused: bool
) -> None:
    try:
        Guards().check_shrink("it", before, after)
    except RefusedError:
        assert is_refused
    else:
        assert not is_refused


def test_a_name_forces_its_guard_alone() -> None:
    guards = Guards(["shrink"])
    guards.check_shrink("it", 5, 0)
    with pytest.raises(RefusedError, match="--force=part"):
        guards.refuse("part", "it is a part")


@pytest.mark.parametrize("force", [["shrunk"], {"part", "all"}, "delete", [1], None, 1, [["part"]]])
def test_an_unknown_name_is_an_error_that_lists_the_known(force: object) -> None:
    with pytest.raises(ValueError, match=", ".join(GUARDS)):
        Guards(force)  # type: ignore[arg-type]


def test_a_refusal_can_be_pickled() -> None:
    with pytest.raises(RefusedError) as caught:
        Guards().refuse("folder", "it is not ours")
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.guard) == (str(caught.value), "folder")


# Publish


@pytest.mark.parametrize("left", [0, 14])
@pytest.mark.parametrize("options", [{}, {"pack": True}, {"dry_run": True}])
def test_f8_a_publish_that_loses_too_much_writes_nothing(
    site: Path, left: int, options: dict[str, bool]
) -> None:
    keep(site, left)
    before = tree(site)
    with pytest.raises(RefusedError, match=f"would leave {left} of 30 entries"):
        publish(site, **options)  # type: ignore[arg-type]
    assert tree(site) == before


def test_f13_an_empty_mount_point_is_refused(site: Path) -> None:
    shutil.rmtree(site / "data")
    (site / "data").mkdir()
    with pytest.raises(RefusedError):
        publish(site)
    assert len(index_of(site)) == 30
    assert publish(site, force={"shrink"}).entries == 0


def test_f13_a_checkout_without_notes_is_refused_too_and_gets_no_lock(site: Path) -> None:
    shutil.rmtree(site / ".staticstore")
    keep(site, 0)
    with pytest.raises(RefusedError):
        publish(site)
    assert not (site / ".staticstore").exists()


def test_half_of_many_may_go(site: Path) -> None:
    keep(site, 15)
    assert len(publish(site).deleted) == 15


# Mirror


def test_f8_a_mirror_of_an_index_that_has_shrunk_writes_nothing(
    site: Path, copied: Copied, tmp_path: Path
) -> None:
    copied()
    keep(site, 14)
    publish(site, force=True)
    before = tree(tmp_path / "copy")
    for delete in (False, True):
        with pytest.raises(RefusedError, match="would leave 14 of 30 entries"):
            copied(delete=delete)
    assert tree(tmp_path / "copy") == before
    copied(force={"shrink"})
    assert len(index_of(tmp_path / "copy")) == 14


def test_f8_files_that_no_index_names_count_if_they_are_to_be_deleted(
    site: Path, copied: Copied, tmp_path: Path
) -> None:
    copied()
    fill(tmp_path / "copy" / "data", {f"more/{number}": b"1" for number in range(40)})
    with pytest.raises(RefusedError, match="would leave 30 of 70 entries"):
        copied(delete=True)
    copied()


def test_f8_an_index_whose_values_are_gone_does_not_empty_a_copy(
    site: Path, copied: Copied, tmp_path: Path
) -> None:
    """All keys are new ones, so that nothing of before would stay; and none can be had."""
    copied()
    (site / "data").rename(site / "before")
    fill(site / "data", {f"new/{key}": value for key, value in MANY.items()})
    publish(site)
    shutil.rmtree(site / "data")
    with pytest.raises(RefusedError, match=r"30 could not be copied, such as 'new/00\.txt'"):
        copied(delete=True)
    assert verify_site(tmp_path / "copy").checked == 30


def test_f13_a_part_over_a_copy_of_the_whole_writes_nothing(copied: Copied, tmp_path: Path) -> None:
    copied()
    before = tree(tmp_path / "copy")
    with pytest.raises(RefusedError, match="20 of 30 entries"):
        copied(globs=["0*", "1*"])
    assert tree(tmp_path / "copy") == before
    copied(globs=["0*", "1*"], force={"part"})
    assert len(index_of(tmp_path / "copy")) == 20


def test_f13_a_part_over_a_headless_copy_of_the_whole_is_refused(
    site: Path, copied: Copied
) -> None:
    (site / "index.head.json").unlink()
    copied()
    with pytest.raises(RefusedError, match="--force=part"):
        copied(globs=["0*", "1*"])


def _new_lineage(site: Path) -> None:
    (site / "index.head.json").unlink()
    fill(site / "data", {"new.txt": b"new"})
    publish(site)


def _value_is_back(site: Path) -> None:
    fill(site / "data", {"05.txt": MANY["05.txt"]})


def _without_head(site: Path) -> None:
    fill(site / "data", {"new.txt": b"new"})
    publish(site)
    (site / "index.head.json").unlink()


@pytest.mark.parametrize("change", [_new_lineage, _value_is_back, _without_head])
def test_f13_a_copy_of_the_whole_is_known_as_one_whatever_the_site_becomes(
    site: Path, copied: Copied, change: Callable[[Path], None]
) -> None:
    if change is _value_is_back:
        (site / "data" / "05.txt").unlink()
    if change is _without_head:
        (site / "index.head.json").unlink()
    copied()
    change(site)
    with pytest.raises(RefusedError, match="--force=part"):
        copied(globs=["0*", "1*"])


def test_f13_a_copy_of_the_whole_but_what_is_withheld_is_known_as_one(
    site: Path, copied: Copied
) -> None:
    write_site(site, {**MANY, ".htaccess": b"1"})
    (site / "index.head.json").unlink()
    copied()
    write_site(site, {**MANY, ".htaccess": b"1", "new.txt": b"new"})
    with pytest.raises(RefusedError, match="--force=part"):
        copied(globs=["0*", "1*"])


def test_f13_a_copy_of_a_part_is_known_as_one_though_the_site_became_as_small(
    site: Path, copied: Copied, tmp_path: Path
) -> None:
    (site / "index.head.json").unlink()
    copied(globs=["0*", "1*"])
    write_site(site, {key: MANY[key] for key in list(MANY)[:20]})
    copied(globs=["0*"])
    assert len(index_of(tmp_path / "copy")) == 10


def test_f13_a_whole_copy_over_a_part_that_was_cut_short_is_known_as_whole(
    site: Path, copied: Copied, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied(globs="0*")

    def cut_short(run: MirrorRun) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(MirrorRun, "finish", cut_short)
        with pytest.raises(KeyboardInterrupt):
            copied()
    with pytest.raises(RefusedError, match="--force=part"):
        copied(globs=["0*", "1*"])


def test_a_pattern_that_matches_all_keys_leaves_a_copy_of_the_whole(copied: Copied) -> None:
    copied()
    copied(globs="*")
    with pytest.raises(RefusedError, match="--force=part"):
        copied(globs="0*")


def test_another_part_over_a_part_is_no_accident(copied: Copied, tmp_path: Path) -> None:
    copied(globs="0*")
    copied(globs="1*")
    assert len(index_of(tmp_path / "copy")) == 10


def test_the_whole_over_a_part_is_no_accident(copied: Copied, tmp_path: Path) -> None:
    copied(globs="0*")
    copied()
    assert len(index_of(tmp_path / "copy")) == 30


@pytest.mark.parametrize("part", [{"globs": "none*"}, {"type": "none"}])
def test_f13_a_pattern_that_matches_nothing_is_refused(
    copied: Copied, tmp_path: Path, part: dict[str, str]
) -> None:
    with pytest.raises(NothingMatchesError, match="none of the 30 keys"):
        copied(**part)
    assert not (tmp_path / "copy").exists()
    copied(globs="0*")
    before = tree(tmp_path / "copy")
    with pytest.raises(NothingMatchesError, match="none of the 30 keys"):
        copied(**part)
    assert tree(tmp_path / "copy") == before


@pytest.mark.parametrize("body", [b"{\n}\n", b"", b"{", b"[]"])
def test_f13_so_it_is_over_a_copy_of_which_nothing_is_left(
    copied: Copied, tmp_path: Path, body: bytes
) -> None:
    copied(globs="0*")
    for path in ("index.json", "index.head.json"):
        (tmp_path / "copy" / path).unlink()
    (tmp_path / "copy" / "index.json").write_bytes(body)
    before = tree(tmp_path / "copy")
    with pytest.raises(NothingMatchesError, match="none of the 30 keys"):
        copied(globs="none*")
    assert tree(tmp_path / "copy") == before


@pytest.mark.parametrize("body", [None, b"", b'{"00.txt":'])
def test_f8_a_copy_whose_index_is_lost_still_has_the_entries_of_its_head(
    site: Path, copied: Copied, tmp_path: Path, body: bytes | None
) -> None:
    copied()
    keep(site, 1)
    publish(site, force=True)
    (tmp_path / "copy" / "index.json").unlink()
    if body is not None:
        (tmp_path / "copy" / "index.json").write_bytes(body)
    with pytest.raises(RefusedError, match="would leave 1 of 30 entries"):
        copied()


# Push


def test_f8_a_push_that_loses_too_much_writes_nothing(site: Path, tmp_path: Path) -> None:
    host = tmp_path / "host"
    push(site, host)
    keep(site, 14)
    publish(site, force=True)
    before = tree(host)
    for dry_run, delete in ((False, False), (False, True), (True, False)):
        with pytest.raises(RefusedError, match="would leave 14 of 30 entries"):
            push(site, host, dry_run=dry_run, delete=delete)
    assert tree(host) == before
    push(site, host, force={"shrink"})


def test_f8_a_target_whose_index_is_lost_still_has_the_entries_of_its_head(
    site: Path, tmp_path: Path
) -> None:
    host = tmp_path / "host"
    push(site, host)
    keep(site, 1)
    publish(site, force=True)
    (host / "index.json").unlink()
    before = tree(host)
    with pytest.raises(RefusedError, match="would leave 1 of 30 entries"):
        push(site, host)
    assert tree(host) == before


def test_f16_an_index_at_a_target_that_is_not_of_its_digest_says_nothing(
    site: Path, tmp_path: Path
) -> None:
    host = tmp_path / "host"
    push(site, host)
    (host / "index.json").unlink()
    (host / head_of(host).index.href).write_bytes(b'{"false":{}}')
    push(site, host, delete=True)
    assert verify_site(host).wrong == []


@pytest.mark.parametrize(
    "mine",
    [
        {"data/00.txt": b"mine"},
        {"data/mine/a.csv": b"mine"},
        {"index.json": b'{"my":"web project"}'},
        {"index.json": b'{"dependencies":{}}'},
        {"index.json": b'{"a":{}}', "data/a": b"mine"},
    ],
)
@pytest.mark.parametrize("dry_run", [False, True])
def test_f13_a_push_into_a_folder_of_others_writes_nothing(
    site: Path, tmp_path: Path, mine: dict[str, bytes], dry_run: bool
) -> None:
    host = tmp_path / "host"
    fill(host, mine)
    before = tree(host)
    with pytest.raises(RefusedError, match="--force=folder") as caught:
        push(site, host, delete=True, dry_run=dry_run)
    assert next(reversed(mine)) in str(caught.value)
    assert tree(host) == before
    push(site, host, force={"folder"}, dry_run=dry_run)


def test_f13_a_push_into_a_folder_that_has_its_values_is_no_accident(
    site: Path, tmp_path: Path
) -> None:
    host = tmp_path / "host"
    shutil.copytree(site / "data", host / "data")
    push(site, host)
    assert verify_site(host).wrong == []


def test_f13_a_push_over_a_plain_site_whose_digests_are_right_is_no_accident(
    site: Path, tmp_path: Path
) -> None:
    host = tmp_path / "host"
    write_site(host, MANY)
    push(site, host)
    assert verify_site(host).wrong == []


@pytest.mark.parametrize("dry_run", [False, True])
def test_f13_a_push_over_another_lineage_names_what_goes_on_from_it(
    site: Path, tmp_path: Path, dry_run: bool
) -> None:
    host = tmp_path / "host"
    push(site, host)
    (site / "index.head.json").unlink()
    publish(site)
    shutil.rmtree(host / ".staticstore")
    before = tree(host)
    with pytest.raises(RefusedError, match=r"publish SITE --after '.*host'"):
        push(site, host, dry_run=dry_run)
    assert tree(host) == before
    assert not (host / ".staticstore").exists()
    push(site, host, force={"lineage"})
    assert (host / "index.head.json").read_bytes() == (site / "index.head.json").read_bytes()


def test_a_first_publish_mirror_and_push_have_nothing_to_lose(
    copied: Copied, tmp_path: Path
) -> None:
    empty = make_site(tmp_path / "empty", {})
    assert publish(empty).entries == 0
    with StaticStore(empty, poll_interval=0) as store:
        mirror(store, tmp_path / "copy of nothing")
    push(empty, tmp_path / "host")
    assert index_of(tmp_path / "host") == {}
