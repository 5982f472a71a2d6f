"""The suite of stores sees what is wrong: defects are planted in stores, and some check fails."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from migrate.endpoints.stores import Found, Identity
from migrate.errors import MigrateError, NotFound
from migrate.kinds import Kind
from tests.kinds import test_stores
from tests.kinds.memory import MemoryStore
from tests.kinds.subject import OF_TESTS, OLDER, SAMPLES, Subject, in_a_directory, in_memory

Plant = Callable[[Any], None]
Check = Callable[[Subject], None]
#: The checks of the suite that ask for a store and no more.
CHECKS: Mapping[str, Check] = {
    name.removeprefix("test_"): check
    for name, check in vars(test_stores).items()
    if name.startswith("test_") and list(inspect.signature(check).parameters) == ["subject"]
}
#: In exports, by the kind.
EXPORTED = {it.carrier.kind: in_a_directory(it) for it in (*SAMPLES, *OLDER)}


def a_name_that_is_taken_makes_a_second_copy(store: MemoryStore[Any]) -> None:
    """As when an answer was lost, and the create is sent again."""
    create = store.create

    def twice(container: str, wanted: Any) -> Any:
        try:
            return create(container, wanted)
        except MigrateError:
            copy = dataclasses.replace(wanted, job_id="another", experiment_id=container)
            store.held["another"] = Found(copy)
            return copy

    store.create = twice  # type: ignore[method-assign]


def what_is_finished_again_is_an_error(store: Any) -> None:
    finish, finished = store.finish, set()

    def once(copy: Any, *rest: Any) -> Any:
        if id(store) in finished:
            raise NotFound("it is not being written any more")
        finished.add(id(store))
        return finish(copy, *rest)

    store.finish = once


def finding_looks_into_every_container(store: Any) -> None:
    find = store.find

    def everywhere(container: str, keys: Any = None) -> Mapping[str, Sequence[Found[Any]]]:
        return {**find("2", keys), **find("1", keys)}

    store.find = everywhere


def a_listing_ends_after_its_first_page(store: Any) -> None:
    listing = store.list

    def first_page(containers: Sequence[str]) -> Iterator[Any]:
        return iter([*listing(containers)][:5])

    store.list = first_page


def what_is_gone_cannot_be_deleted(store: Any) -> None:
    delete = store.delete

    def strict(copy: Any) -> None:
        if not store.read([copy.webhook_id]):
            raise NotFound("it is gone")
        delete(copy)

    store.delete = strict


def what_is_not_wanted_stays(store: Any) -> None:
    finish = store.finish

    def adds(copy: Any, wanted: Any, *rest: Any) -> Any:
        kept = dataclasses.replace(wanted, tags={**copy.tags, **wanted.tags})
        return finish(copy, kept, *rest)

    store.finish = adds


def a_half_made_copy_has_a_mark(store: Any) -> None:
    create = store.create

    def marks(container: str, wanted: Any) -> Any:
        copy = create(container, wanted)
        store.finish(copy, wanted, "m0")
        return copy

    store.create = marks


def reading_in_bulk_stops_at_what_is_missing(store: Any) -> None:
    read = store.read

    def strict(ids: Sequence[str]) -> Sequence[Any]:
        found: Sequence[Any] = read(ids)
        return found if len(found) == len(ids) else ()

    store.read = strict


PLANTED: Sequence[tuple[Callable[..., Subject], Plant, str]] = (
    (
        in_memory(OF_TESTS, Identity.NAMED),
        a_name_that_is_taken_makes_a_second_copy,
        "a_key_that_is_taken_is_refused_or_makes_a_copy_that_is_found",
    ),
    (
        EXPORTED[Kind.EVALUATION_DATASET],
        what_is_finished_again_is_an_error,
        "finishing_may_be_repeated_and_takes_off_what_is_not_wanted",
    ),
    (EXPORTED[Kind.ISSUE], finding_looks_into_every_container, "containers_are_kept_apart"),
    (
        EXPORTED[Kind.SCORER],
        a_listing_ends_after_its_first_page,
        "what_was_created_is_listed_and_read_in_bulk",
    ),
    (EXPORTED[Kind.WEBHOOK], what_is_gone_cannot_be_deleted, "deleting_may_be_repeated"),
    (
        EXPORTED[Kind.REGISTERED_MODEL],
        what_is_not_wanted_stays,
        "finishing_may_be_repeated_and_takes_off_what_is_not_wanted",
    ),
    (
        EXPORTED[Kind.RUN],
        a_half_made_copy_has_a_mark,
        "what_was_created_is_half_made_until_it_is_finished",
    ),
    (
        EXPORTED[Kind.ISSUE],
        reading_in_bulk_stops_at_what_is_missing,
        "what_was_created_is_listed_and_read_in_bulk",
    ),
)


def failing(opened: Callable[..., Subject], plant: Plant, folder: Path, request: Any) -> set[str]:
    """Return the checks of the suite that fail, each held against a store of its own."""
    found = set()
    for number, (name, check) in enumerate(CHECKS.items()):
        subject = opened(folder / str(number), request)
        plant(subject.store)
        try:
            check(subject)
        except pytest.skip.Exception:
            continue
        except (AssertionError, pytest.fail.Exception, MigrateError, ValueError):
            found.add(name)
    return found


@pytest.mark.parametrize(
    ("opened", "plant", "check"), PLANTED, ids=[plant.__name__ for _, plant, _ in PLANTED]
)
def test_a_defect_is_seen_by_the_check_that_is_made_for_it(
    opened: Callable[..., Subject],
    plant: Plant,
    check: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    def nothing(store: Any) -> None:
        pass

    assert failing(opened, nothing, tmp_path / "whole", request) == set()
    assert check in failing(opened, plant, tmp_path / "planted", request)
