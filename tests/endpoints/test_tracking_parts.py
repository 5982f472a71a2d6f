"""What a server has is asked of itself: what a gateway hides is unknown, not absent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing

import pytest

from migrate.demo.server import TrackingServerProcess
from migrate.endpoints.addresses import Address, open_source, open_target
from migrate.endpoints.protocols import Target
from migrate.endpoints.tracking.http.access import Access
from migrate.endpoints.tracking.http.session import HttpSession
from migrate.errors import EndpointError, Unavailable
from migrate.kinds import REGISTRY_KINDS, Kind, Ref
from migrate.objects import ArtifactRoot
from tests.conftest import ProxyFactory
from tests.faults import Fault, Faults, always, answer, answer_with, on_nth
from tests.proxy import Proxy
from tests.seed import Source
from tests.servers import INSTALLED, IS_3_18

EMPTY = answer_with("{}")
WEB_PAGE = answer(200)
REFUSED_FILTER = answer_with(
    '{"error_code": "INVALID_PARAMETER_VALUE", "message": "Invalid clause(s) in filter string"}',
    400,
)
NO_REGISTRY = """{"error_code": "INVALID_PARAMETER_VALUE", "message": " Model registry functionality
 is unavailable; got unsupported URI './mlruns' for model registry data storage."}""".replace(
    "\n", ""
)
VERSION = ("GET", "/version$")
LOGGED_MODELS = ("*", "/logged-models/search$")
REGISTRY = ("*", "/(registered-models|model-versions)/")
RUN_SEARCH = ("POST", "/runs/search$")
NEWER_THAN_1 = ("*", "/api/3.0/|/logged-models|/webhooks|/api/2.0/mlflow/traces|/version$")
#: How a route may fail to tell anything.
SILENT = [
    pytest.param(answer(404), id="404"),
    pytest.param(EMPTY, id="nothing"),
    pytest.param(WEB_PAGE, id="a web page"),
    pytest.param(answer(403), id="403", marks=pytest.mark.thorough),
    pytest.param(answer(302), id="302", marks=pytest.mark.thorough),
    pytest.param(answer(500), id="500", marks=pytest.mark.thorough),
]

#: Opens the server behind a proxy with these faults.
Open = Callable[..., Target]


@pytest.fixture
def proxy(target_server: TrackingServerProcess, proxy_factory: ProxyFactory) -> Proxy:
    return proxy_factory(target_server.uri)


@pytest.fixture
def open_server(proxy: Proxy) -> Iterator[Open]:
    with ExitStack() as opened:

        def open_it(*faults: tuple[tuple[str, str], Fault], side: str = "source") -> Target:
            proxy.faults = Faults(*(always(match, fault) for match, fault in faults))
            address = Address(uri=proxy.uri, side=side, workers=4)
            return opened.enter_context(closing(open_target(address)))

        yield open_it


@pytest.fixture
def seed(target_server: TrackingServerProcess, unique_name: str) -> Iterator[Source]:
    with Source(target_server.uri, prefix=f"{unique_name} ") as source:
        yield source


def the_one(sentences: Sequence[str], *words: str) -> None:
    """There is one sentence, with all these words in it."""
    assert len(sentences) == 1, sentences
    for word in words:
        assert word in sentences[0]


class TestVersions:
    @pytest.mark.parametrize("fault", SILENT)
    def test_a_server_that_does_not_tell_its_version_is_judged_by_its_parts(
        self, open_server: Open, fault: Fault
    ) -> None:
        server = open_server((VERSION, fault), side="target")
        can = server.capabilities()
        # The youngest part that is asked and there: skills, or MCP servers.
        youngest = "3.18" if IS_3_18 else "3.15"
        assert can.version == f"{youngest} or newer"
        assert can.writable == can.readable >= {Kind.LOGGED_MODEL, *REGISTRY_KINDS}
        lengths = (can.param_length, can.run_tag_length, can.experiment_tag_length)
        assert lengths == (6000, 8000, 20000 if IS_3_18 else 5000)
        assert (can.colon_in_keys, can.dataset_inputs, can.flattens_models) == (True, True, False)
        said = ("does not tell its version", f"{youngest} or newer", f"limits of {youngest}")
        the_one(can.notes, "target", *said)
        assert server.unknown() == ()

    def test_the_search_for_run_ids_tells_a_1_x_that_has_no_part_of_its_own(
        self, open_server: Open, proxy: Proxy, seed: Source
    ) -> None:
        experiment = seed.experiment("a")
        run_id = seed.run("r", experiment)
        server = open_server((NEWER_THAN_1, answer(404)))
        # The first search of runs shows that there is such a search, the second has the filter.
        too_new = on_nth(RUN_SEARCH, 2, REFUSED_FILTER)
        proxy.faults = Faults(always(NEWER_THAN_1, answer(404)), too_new)
        can = server.capabilities()
        assert (can.version, can.writable) == ("older than 2.3", frozenset())
        assert list(server.logged_models.list([experiment])) == []
        assert server.unknown() == (), "an old server lacks what came later"
        proxy.clear()
        found = server.runs.read_in(experiment, [run_id, "0" * 32])
        assert [run.run_id for run in found] == [run_id]
        assert proxy.matching(RUN_SEARCH) == []

    def test_without_any_newer_part_nothing_is_taken_to_be_old_for_what_is_hidden(
        self, open_server: Open, seed: Source
    ) -> None:
        server = open_server((NEWER_THAN_1, answer(404)))
        can = server.capabilities()
        assert (can.version, can.param_length) == ("2.3 or newer", 500)
        assert list(server.logged_models.list([seed.experiment("a")])) == []
        the_one(server.unknown(), "logged models", "404", "its version is not known")


class TestParts:
    @pytest.mark.parametrize("fault", SILENT)
    def test_logged_models_that_cannot_be_asked_for_are_unknown(
        self, open_server: Open, seed: Source, fault: Fault
    ) -> None:
        experiment = seed.experiment("a")
        seed.post("logged-models", {"experiment_id": experiment, "name": "x"})
        server = open_server((LOGGED_MODELS, fault))
        assert server.unknown() == (), "not before anybody asks"
        assert list(server.logged_models.list([experiment])) == []
        the_one(server.unknown(), "source", "logged models is not known", "/logged-models/search")
        assert server.model_links.read(["0" * 32]) == {}
        assert len(server.unknown()) == 1, "each is said once"

    @pytest.mark.parametrize("fault", SILENT)
    def test_a_registry_that_cannot_be_asked_for_is_unknown(
        self, open_server: Open, seed: Source, fault: Fault
    ) -> None:
        seed.post("registered-models/create", {"name": seed.seeded.prefix})
        server = open_server((REGISTRY, fault))
        assert list(server.registered_models.list()) == []
        the_one(server.unknown(), "source", "a model registry is not known", "/registered-models/")

    def test_versions_that_cannot_be_searched_make_the_registry_unknown(
        self, open_server: Open
    ) -> None:
        server = open_server((("*", "/model-versions/search$"), answer(403)))
        assert list(server.registered_models.list()) == []
        the_one(server.unknown(), "a model registry is not known", "/model-versions/search", "403")

    def test_a_registry_that_says_itself_that_it_is_none_is_absent(self, open_server: Open) -> None:
        no_registry = answer_with(NO_REGISTRY, 400)
        server = open_server((REGISTRY, no_registry))
        assert list(server.registered_models.list()) == []
        assert server.unknown() == ()
        notes = [note for note in server.capabilities().notes if "registry" in note]
        the_one(notes, "source does not have a model registry", "./mlruns")

    def test_a_target_does_not_take_what_it_may_not_have(self, open_server: Open) -> None:
        server = open_server((LOGGED_MODELS, answer(404)), (REGISTRY, answer(403)), side="target")
        can = server.capabilities()
        assert can.writable == {Kind.EXPERIMENT, Kind.RUN}
        assert not can.flattens_models, "it may have logged models"
        assert can.without.keys() == {Kind.LOGGED_MODEL, *REGISTRY_KINDS}
        assert f"MLflow {INSTALLED} has it" in can.without[Kind.LOGGED_MODEL]

    @pytest.mark.parametrize("part", ["experiments/search$", "runs/search$"])
    @pytest.mark.parametrize("fault", SILENT)
    def test_without_experiments_and_runs_there_is_nothing_to_do(
        self, open_server: Open, part: str, fault: Fault
    ) -> None:
        with pytest.raises((EndpointError, Unavailable)) as problem:
            open_server((("*", part), fault)).capabilities()
        assert f"/{part[:-1]}" in str(problem.value)


class TestSilence:
    def test_an_empty_answer_is_looked_at_once_a_route(
        self, open_server: Open, proxy: Proxy, seed: Source
    ) -> None:
        server = open_server()
        server.capabilities()
        proxy.clear()
        empty = seed.experiment("a")
        for _ in range(2):
            assert list(server.runs.list([empty])) == list(server.logged_models.list([empty])) == []
        assert server.unknown() == ()
        # These routes have refused nonsense when the server was connected.
        assert len(proxy.matching(("POST", "/search$"))) == 4

    @pytest.mark.parametrize(
        ("fault", "said"),
        [
            (EMPTY, "its empty answers are not believed"),
            (answer(500), "could not be learned"),
            (answer(404), "could not be learned"),
        ],
        ids=["{}", "500", "404"],
    )
    def test_a_search_that_takes_nonsense_is_not_believed(
        self, proxy: Proxy, fault: Fault, said: str
    ) -> None:
        search = ("POST", "/datasets/search$")
        proxy.faults = Faults(on_nth(search, 1, EMPTY), always(search, fault))
        http = HttpSession(Access(proxy.uri), side="source", workers=1)
        assert list(http.pages("/api/3.0/mlflow/datasets/search", {})) == [{}]
        the_one(http.silence.doubts(), "source", "/datasets/search", said)

    def test_a_listing_of_files_is_looked_at_for_what_cannot_be_there(
        self, open_server: Open, proxy: Proxy, seed: Source
    ) -> None:
        run_id = seed.run("r", seed.experiment("a"))
        for uri, route in (
            ("mlflow-artifacts:/0/r/artifacts", "/mlflow-artifacts/artifacts$"),
            ("/on/the/server", "/artifacts/list$"),
        ):
            root = ArtifactRoot(Ref(Kind.RUN, run_id), uri)
            server = open_server()
            assert server.artifacts.list(root) == []
            assert server.unknown() == ()
            with pytest.raises(EndpointError, match="not believed"):
                open_server((("GET", route), EMPTY)).artifacts.list(root)


def test_traces_are_not_read_by_an_older_route_where_the_newer_one_is_hidden(
    source_server: TrackingServerProcess, proxy_factory: ProxyFactory
) -> None:
    """The older one is there as well, and tells of no assessments."""
    proxy = proxy_factory(source_server.uri)
    proxy.faults = Faults(always(("POST", "/api/3.0/mlflow/traces/search$"), answer(404)))
    with closing(open_source(Address(uri=proxy.uri, side="source"))) as source:
        source.capabilities()
        assert source.store(Kind.TRACE) is None
        assert any("traces is not known" in said for said in source.unknown())
