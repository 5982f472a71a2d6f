"""Where the copies of what is named are found, for a comparison."""

from __future__ import annotations

from typing import Any

from migrate.endpoints.stores import Identity
from migrate.graph.selection import Selection
from migrate.kinds import Kind, Ref
from migrate.records.webhooks import Webhook
from migrate.tasks.existing_experiments import ExistingExperiments
from migrate.tasks.webhook import Webhooks
from migrate.verify.copies import Copies
from migrate.verify.result import Ends
from tests.graph.memory import MemoryServer
from tests.kinds.memory import MemoryStore


class Hashed(str):
    """Text that counts how often it is looked up by."""

    __slots__ = ()
    times = 0

    def __hash__(self) -> int:
        Hashed.times += 1
        return str.__hash__(self)


class Server(MemoryServer):
    """A server that has webhooks too."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.webhooks = MemoryStore(Webhooks(), Identity.NAMED, "webhook_id")

    def store(self, kind: Kind) -> Any:
        return self.webhooks


def test_each_of_several_originals_of_one_name_has_a_copy_of_its_own() -> None:
    source, target = Server("source"), Server("target")
    for server, letter, number in ((source, "s", 3), (target, "t", 2)):
        for ident in (f"{letter}{place}" for place in range(number)):
            hook = Webhook(webhook_id=ident, name="same", url="https://example.org")
            server.webhooks.put(hook)
    ends = Ends(source=source, target=target, selection=Selection())
    refs = [Ref(Kind.WEBHOOK, ident) for ident in ("s0", "s1", "s2")]
    copies = Copies(ends, (), ExistingExperiments())
    assert copies.ids(refs) == {refs[0]: "t0", refs[1]: "t1"}
    assert copies.ids(refs[:1]) == {refs[0]: "t0"}


def test_a_copy_is_looked_up_without_going_through_all_that_are_known() -> None:
    ends = Ends(source=Server("source"), target=Server("target"), selection=Selection())
    copies = Copies(ends, (), ExistingExperiments())
    refs = [Ref(Kind.MODEL_VERSION, Hashed(f"m/{number}")) for number in range(1000)]
    for ref in refs:
        copies.add_version(ref, f"copy of {ref.id}")
    Hashed.times = 0
    assert copies.ids(refs[:1]) == {refs[0]: "copy of m/0"}
    assert Hashed.times <= 10
