"""Random runs, metric points and files, as a server could hold them."""

from __future__ import annotations

from hypothesis import strategies as st

from migrate.objects import ACTIVE, DELETED, Artifact, Metric, Run

INT64 = st.integers(-(2**63), 2**63 - 1)
TIMES = st.integers(0, 2**48)
WORDS = st.text("ab/é🧪 ", min_size=1, max_size=6)
TEXTS = st.text(max_size=12)
MAPPINGS = st.dictionaries(WORDS, TEXTS, max_size=4)
RUN_IDS = st.text("0123456789abcdef", min_size=4, max_size=4)

#: Without -0.0, which is 0.0 to some databases and so to the fingerprint.
VALUES = st.floats().map(lambda value: value + 0.0)
POINTS = st.builds(Metric, key=WORDS, value=VALUES, timestamp=TIMES, step=INT64)
FILES = st.builds(Artifact, path=WORDS, size=st.integers(0, 2**40))
INPUTS = st.fixed_dictionaries({"dataset": MAPPINGS, "tags": st.just([])})


def runs() -> st.SearchStrategy[Run]:
    return st.builds(
        Run,
        run_id=RUN_IDS,
        experiment_id=st.sampled_from("12"),
        name=TEXTS,
        user_id=TEXTS,
        status=st.sampled_from(["RUNNING", "FINISHED", "FAILED", "KILLED"]),
        start_time=TIMES,
        end_time=st.none() | TIMES,
        lifecycle_stage=st.sampled_from([ACTIVE, DELETED]),
        artifact_uri=WORDS,
        params=MAPPINGS,
        tags=MAPPINGS,
        latest_metrics=st.lists(POINTS, max_size=3, unique_by=lambda p: p.key).map(tuple),
        inputs=st.lists(INPUTS, max_size=2).map(tuple),
    )
