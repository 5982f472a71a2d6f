"""Which logged models the runs of a tracking server name, as inputs and as outputs."""

from __future__ import annotations

from collections.abc import Sequence

from migrate.endpoints.run_members import links_from
from migrate.endpoints.shapes import Object, member, objects, required
from migrate.endpoints.tracking.abilities import Abilities
from migrate.endpoints.tracking.entries import Entries
from migrate.endpoints.tracking.http.session import HttpSession
from migrate.endpoints.tracking.parts import API
from migrate.endpoints.tracking.refusals import deliver, refusals
from migrate.endpoints.tracking.stores.logged_models import LoggedModelStore
from migrate.endpoints.tracking.stores.runs import FORM as RUN
from migrate.errors import EndpointError, NotFound
from migrate.objects import ModelLinks, ModelOutput
from migrate.outcomes import Loss

#: GraphQL of MLflow answers up to ten root fields of a request.
RUNS_PER_QUERY = 10


class ModelLinkStore:
    """Reads and makes links from runs to logged models; safe for use by several threads.

    ``graphql`` says whether to try it.
    """

    def __init__(
        self,
        http: HttpSession,
        entries: Entries,
        abilities: Abilities,
        models: LoggedModelStore,
        *,
        graphql: bool = True,
    ) -> None:
        self._http = http
        self._entries = entries
        self._abilities = abilities
        self._models = models
        self._graphql = graphql

    def read(self, run_ids: Sequence[str]) -> dict[str, ModelLinks]:
        """See ``ReadsModelLinks.read``.

        No search tells a run's inputs, so runs are read one by one, ten of them to a request
        of GraphQL where that is to be had.
        """
        if not run_ids or not self._has_models() or not self._models.holds_any():
            return {}
        links: dict[str, ModelLinks] = {}
        for start in range(0, len(run_ids), RUNS_PER_QUERY):
            chunk = run_ids[start : start + RUNS_PER_QUERY]
            answers = self._query_links(chunk) if self._graphql else None
            links |= self._read_links(chunk) if answers is None else answers
        return links

    def _read_links(self, run_ids: Sequence[str]) -> dict[str, ModelLinks]:
        links = {}
        for run_id in run_ids:
            try:
                answer = self._http.get(f"{API}/runs/get", {"run_id": run_id})
            except NotFound:
                continue
            read = self._entries.one(answer, "run", RUN, links_from)
            if read is not None:
                links[run_id] = read
        return links

    def _query_links(self, run_ids: Sequence[str]) -> dict[str, ModelLinks] | None:
        """Read the links of a few runs at once; None where GraphQL is no use."""
        fields = "inputs{modelInputs{modelId}} outputs{modelOutputs{modelId step}}"
        query = " ".join(
            f'r{place}:mlflowGetRun(input:{{runId:"{run_id}"}}){{run{{{fields}}}}}'
            for place, run_id in enumerate(run_ids)
        )
        try:
            answer = self._http.post("/graphql", {"query": f"{{{query}}}"}, idempotent=True)
            data = required(answer, "data")
            found = [required(data, f"r{place}") for place in range(len(run_ids))]
            return {
                run_id: links_from(_snake_case(member(run, "run")))
                for run_id, run in zip(run_ids, found, strict=True)
                if run.get("run") is not None
            }
        except EndpointError:
            # An older schema, or a proxy that lets nothing but /api pass.
            self._graphql = False
            return None

    def write(self, run_id: str, links: ModelLinks) -> tuple[Loss, ...]:
        """See ``WritesModelLinks.write``; outputs that are there already are refused."""
        if not self._has_models():
            return ()

        def send_inputs(ids: Sequence[str], fault_tries: int) -> None:
            body = {"run_id": run_id, "models": [{"model_id": model_id} for model_id in ids]}
            path = f"{API}/runs/log-inputs"
            self._http.post(path, body, idempotent=True, fault_tries=fault_tries)

        def send_outputs(outputs: Sequence[ModelOutput], _: int) -> None:
            models = [{"model_id": it.model_id, "step": it.step} for it in outputs]
            body = {"run_id": run_id, "models": models}
            self._http.post(f"{API}/runs/outputs", body, idempotent=False)

        return refusals(
            deliver(send_inputs, links.inputs, lambda _: f"input of run {run_id}")
            + deliver(send_outputs, links.outputs, lambda _: f"output of run {run_id}")
        )

    def _has_models(self) -> bool:
        return self._abilities.has(self._models.kind)


def _snake_case(run: Object) -> Object:
    """Return a run of GraphQL with the names that REST gives its members."""
    inputs = objects(member(run, "inputs"), "modelInputs")
    outputs = objects(member(run, "outputs"), "modelOutputs")
    return {
        "inputs": {"model_inputs": [{"model_id": item.get("modelId")} for item in inputs]},
        "outputs": {
            "model_outputs": [
                {"model_id": item.get("modelId"), "step": item.get("step")} for item in outputs
            ]
        },
    }
