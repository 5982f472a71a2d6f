"""What a copy should be where something was added to it, kind by kind, without a server."""

from __future__ import annotations

from dataclasses import replace

from migrate.records.mcp_servers import AccessEndpoint, MCPServer, MCPServerVersion
from migrate.records.review_queues import ReviewItem, ReviewQueue
from migrate.records.scorers import OnlineConfig, Scorer, ScorerVersion
from migrate.records.skills import PASSED_OVER, Skill, SkillVersion
from migrate.tasks.mcp_server import MCPServers
from migrate.tasks.review_queue import QUESTIONS_STAY, ReviewQueues
from migrate.tasks.scorer import Scorers
from migrate.tasks.skill import Skills


def scorer(**versions: int) -> Scorer:
    """A scorer by the numbers of its versions, each with what it says."""
    made = tuple(ScorerVersion(int(name[1:]), str(said)) for name, said in versions.items())
    return Scorer(scorer_id="1/a", experiment_id="1", name="a", versions=made)


def after(wanted: Scorer, copy: Scorer) -> tuple[dict[int, str], list[str]]:
    due = Scorers().with_added(wanted, copy)
    versions = {it.version: it.serialized_scorer for it in due.record.versions}
    return versions, [loss.what for loss in due.losses]


def test_a_version_that_was_added_stays_and_later_ones_of_the_source_come() -> None:
    there = scorer(v1=1, v2=99)
    assert after(scorer(v1=1), there) == ({1: "1", 2: "99"}, [])
    assert after(scorer(v1=1, v2=2, v3=3), there) == ({1: "1", 2: "99", 3: "3"}, ["version 2"])


def test_a_version_that_was_deleted_on_the_target_is_lost_by_name() -> None:
    assert after(scorer(v1=1, v2=2, v3=3), scorer(v1=1, v3=3)) == ({1: "1", 3: "3"}, ["version 2"])


def test_what_only_takes_a_number_of_a_copy_that_is_not_whole_was_not_added() -> None:
    wanted = scorer(v2=2, v5=5)
    for there in (scorer(v1=2), scorer(v1=2, v2=2, v3=5), scorer(v1=2, v2=2, v3=5, v4=5, v5=5)):
        assert after(wanted, there) == ({2: "2", 5: "5"}, [])


def test_how_a_scorer_is_run_stays_where_the_source_says_nothing() -> None:
    online, other = OnlineConfig(0.5), OnlineConfig(0.1)
    there = replace(scorer(v1=1), online=online)
    assert Scorers().with_added(scorer(v1=1), there).record.online == online
    wanted = replace(scorer(v1=1), online=other)
    assert Scorers().with_added(wanted, there).record.online == other


def test_a_version_of_a_skill_that_only_takes_a_number_was_not_added() -> None:
    wanted = Skill(identity="a", versions=(SkillVersion(2, source="x", tags={"a": "1"}),))
    taking = SkillVersion(1, source=PASSED_OVER)
    same = SkillVersion(2, source="x", tags={"a": "0", "mine": "1"})
    added = SkillVersion(3, source="mine")
    due = Skills().with_added(wanted, Skill(identity="a", versions=(taking, same, added)))
    assert [it.version for it in due.record.versions] == [2, 3]
    assert due.record.versions[0].tags == {"a": "1", "mine": "1"}
    other = SkillVersion(2, source="other", status="active")
    due = Skills().with_added(wanted, Skill(identity="a", versions=(other,)))
    assert (due.record.versions, [loss.what for loss in due.losses]) == ((other,), ["version 2"])


def test_addresses_of_an_mcp_server_are_counted() -> None:
    one, mine = AccessEndpoint("https://a", "sse"), AccessEndpoint("https://b", "sse")
    version = MCPServerVersion("1", {})
    wanted = MCPServer(name="a", versions=(version,), access_endpoints=(one, one))
    due = MCPServers().with_added(wanted, replace(wanted, access_endpoints=(one, mine)))
    assert due.record.access_endpoints == (one, one, mine)


def test_what_became_of_an_item_stays_while_it_is_pending_at_the_source() -> None:
    queue = ReviewQueue(queue_id="1", experiment_id="1", name="a")
    wanted = replace(queue, items=(ReviewItem("x"), ReviewItem("y", status="DECLINED")))
    done = (ReviewItem("x", status="COMPLETE"), ReviewItem("y", status="COMPLETE"))
    due = ReviewQueues().with_added(wanted, replace(queue, items=done)).record
    assert [it.status for it in due.items] == ["COMPLETE", "DECLINED"]


def test_questions_of_a_queue_stay_where_somebody_works_on_its_items() -> None:
    queue = ReviewQueue(queue_id="1", experiment_id="1", name="a", schema_ids=("q1",))
    wanted = replace(queue, schema_ids=("q1", "q2"), items=(ReviewItem("x"), ReviewItem("y")))
    there = replace(queue, items=(ReviewItem("x"),))
    due = ReviewQueues().with_added(wanted, there)
    assert (due.record.schema_ids, due.losses) == (("q1", "q2"), ())
    for item in (ReviewItem("x", status="COMPLETE", completed_by="a"), ReviewItem("z")):
        due = ReviewQueues().with_added(wanted, replace(there, items=(item,)))
        assert (due.record.schema_ids, due.losses) == (("q1",), (QUESTIONS_STAY,))
        assert {it.item_id for it in due.record.items} == {"x", "y", item.item_id}
