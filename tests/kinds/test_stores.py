"""What every store has to do, whatever the endpoint and the kind: one suite for all of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from migrate.endpoints.directory import endpoint
from migrate.endpoints.directory.stores.simple import SIMPLE, Simple
from migrate.endpoints.stores import Bookkeeping, Identity
from migrate.errors import AlreadyExists, AnswerLost, MigrateError, Refused
from migrate.kinds import Kind
from migrate.objects import Loss
from tests.kinds.job import Job, put_into_experiments
from tests.kinds.subject import ODD_NAMES, SUBJECTS, Subject


@pytest.fixture(params=SUBJECTS)
def subject(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Subject:
    put_into_experiments(monkeypatch)
    simple = Simple(kind=Kind.JOB, record=Job, ident="job_id", container="experiment_id")
    monkeypatch.setattr(endpoint, "SIMPLE", (*SIMPLE, simple))
    return SUBJECTS[request.param](tmp_path, request)


def test_there_is_nothing_in_what_holds_nothing(subject: Subject) -> None:
    assert list(subject.store.list([subject.container])) == []
    assert subject.store.find(subject.container) == {}
    assert list(subject.store.read(["none"])) == []


def test_what_was_created_is_half_made_until_it_is_finished(subject: Subject) -> None:
    wanted = subject.make("i1", "one")
    copy = subject.store.create(subject.container, wanted)
    if subject.appears_whole:
        assert subject.found("i1") == ()
    else:
        [found] = subject.found("i1")
        assert subject.carrier.ref(found.record) == subject.carrier.ref(copy)
        assert found.mark == ""
    subject.store.finish(copy, wanted, "m1", (Loss("secret", "never told"),))
    [found] = subject.found("i1")
    assert subject.same(wanted, found.record)
    if subject.store.bookkeeping is not Bookkeeping.NONE:
        assert (found.mark, found.losses) == ("m1", (Loss("secret", "never told"),))


def test_what_was_created_is_listed_and_read_in_bulk(subject: Subject) -> None:
    names = {f"i{number}": f"name-{number}" for number in range(7)}
    for ident, name in names.items():
        subject.store.finish(
            subject.store.create(subject.container, subject.make(ident, name)),
            subject.make(ident, name),
            "m",
        )
    listed = list(subject.store.list([subject.container]))
    assert len(listed) == 7
    ids = [subject.carrier.ref(record).id for record in listed]
    read = subject.store.read([*ids, "none"])
    assert [subject.carrier.ref(record).id for record in read] == ids
    found = subject.store.find(subject.container)
    assert set(found) == {subject.key(ident, name) for ident, name in names.items()}
    some = [subject.key("i2", "name-2"), subject.key("i5", "name-5"), "none"]
    assert set(subject.store.find(subject.container, some)) == set(some[:2])


def test_containers_are_kept_apart(subject: Subject) -> None:
    if subject.container == subject.other_container:
        pytest.skip("nothing holds this kind")
    subject.made("i1")
    assert list(subject.store.list([subject.other_container])) == []
    assert subject.store.find(subject.other_container) == {}
    assert len(list(subject.store.list([subject.other_container, subject.container]))) == 1


def test_a_key_that_is_taken_is_refused_or_makes_a_copy_that_is_found(subject: Subject) -> None:
    subject.made("i1")
    try:
        subject.store.create(subject.container, subject.make("i1", "one"))
    except (AlreadyExists, AnswerLost):
        assert len(subject.found("i1")) == 1
    else:
        if subject.creates_again or subject.replaces_twins:
            assert len(subject.found("i1")) == 1
            return
        assert subject.store.identity is Identity.TAGGED or not subject.refuses_twins
        assert len(subject.found("i1")) == 2


def test_finishing_may_be_repeated_and_takes_off_what_is_not_wanted(subject: Subject) -> None:
    copy = subject.made("i1")
    subject.store.finish(copy, subject.make("i1", "one"), "m1")
    changed = subject.change(subject.make("i1", "one"))
    subject.store.finish(subject.found("i1")[0].record, changed, "m2")
    [found] = subject.found("i1")
    assert subject.same(changed, found.record)
    assert found.mark in ("m2", "")


def test_a_tag_is_taken_off_or_named_as_one_that_stays(subject: Subject) -> None:
    copy = subject.made("i1")
    if not hasattr(copy, "tags"):
        pytest.skip("it has no tags")
    wanted = subject.make("i1", "one")
    tags = {**wanted.tags, "a/b": "1", "b c": "2"}
    subject.store.finish(copy, dataclasses.replace(wanted, tags=tags), "m1")
    there = subject.found("i1")[0].record
    assert {"a/b", "b c"} <= there.tags.keys()
    lasting = subject.store.finish(there, wanted, "m2")
    [found] = subject.found("i1")
    stay = {f"tag {key}" for key in ("a/b", "b c") if key in found.record.tags}
    assert {loss.what for loss in lasting} == stay <= {"tag a/b"}
    if subject.store.bookkeeping is Bookkeeping.TAGS:
        assert (found.mark, {loss.what for loss in found.losses}) == ("m2", stay)
    assert {loss.what for loss in subject.store.finish(found.record, wanted, "m2")} == stay


def test_deleting_may_be_repeated(subject: Subject) -> None:
    if not subject.deletes:
        pytest.skip("MLflow deletes none")
    copy = subject.made("i1")
    subject.made("i2", "one" if subject.store.identity is not Identity.NAMED else "two")
    subject.store.delete(copy)
    subject.store.delete(copy)
    assert subject.found("i1") == ()
    assert len(list(subject.store.list([subject.container]))) == 1


def test_what_is_gone_cannot_be_finished(subject: Subject) -> None:
    if not subject.deletes:
        pytest.skip("MLflow deletes none")
    if subject.creates_again:
        pytest.skip("who writes one makes it anew")
    copy = subject.made("i1")
    subject.store.delete(copy)
    wanted = subject.make("i1", "one")
    wanted = subject.change(wanted) if subject.writes_only_changes else wanted
    with pytest.raises(MigrateError):
        subject.store.finish(copy, wanted, "m")
    assert subject.found("i1") == ()


def test_odd_names_and_ids_come_back_as_they_are(subject: Subject) -> None:
    made = []
    for name in ODD_NAMES:
        wanted = subject.make(name, name)
        if name in subject.refuses:
            with pytest.raises(Refused):
                subject.store.finish(subject.store.create(subject.container, wanted), wanted, "m")
            continue
        subject.store.finish(subject.store.create(subject.container, wanted), wanted, "m")
        [found] = subject.found(name, name)
        assert subject.same(wanted, found.record), name
        made.append(wanted)
    listed = [*subject.store.list([subject.container])]
    assert len(listed) == len(made)
    for wanted in made:
        assert any(subject.same(wanted, it) for it in listed), wanted
