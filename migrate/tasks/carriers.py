"""The kinds that are copied: the only list of them, over which all loops go.

The order is that of plans, reports and pictures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from migrate.endpoints.answers import Capabilities
from migrate.endpoints.protocols import Source, Target
from migrate.endpoints.protocols.contained import ReadsContained, WritesContained
from migrate.kinds import Kind, Ref, evaluation_dataset_ref, run_ref
from migrate.objects import FINAL_RUN_STATUSES, NO_LINKS, LoggedModel, Run
from migrate.outcomes import Loss, Outcome
from migrate.tasks import experiment, registered_model
from migrate.tasks.batches import Batch, Job, Policy
from migrate.tasks.carrier import Carrier, ContainedCarrier, HasCopy, RecordCarrier
from migrate.tasks.evaluation_dataset import EvaluationDatasets
from migrate.tasks.fingerprint import RunFacts, quick_mark, run_facts, with_links
from migrate.tasks.gateway import (
    GatewayBudgets,
    GatewayEndpoints,
    GatewayGuardrails,
    GatewayModels,
    GatewaySecrets,
)
from migrate.tasks.issue import Issues
from migrate.tasks.label_schema import LabelSchemas
from migrate.tasks.logged_model import copy_logged_models
from migrate.tasks.mcp_server import MCPServers
from migrate.tasks.model_marks import Links, ModelFacts, facts_of, quick_model_mark, runs_named
from migrate.tasks.model_version import copy_versions
from migrate.tasks.references import fit
from migrate.tasks.review_queue import ReviewQueues
from migrate.tasks.run import copy_runs
from migrate.tasks.scorer import Scorers
from migrate.tasks.skill import Skills
from migrate.tasks.trace import trace_of
from migrate.tasks.trace_slice import copy_slices
from migrate.tasks.user import Roles, Users
from migrate.tasks.webhook import Webhooks


class Experiments(Carrier):
    """Experiments, which hold what was tracked."""

    kind = Kind.EXPERIMENT
    together = 50
    chosen_by = "--experiments"
    renamed_by = experiment.RENAMED_BY
    guarded = True
    colours = ("#dbe9fb", "#2f6fbf")

    def carry(self, batch: Batch, source: Source, target: Target) -> Iterator[Outcome]:
        """See ``Carrier.carry``."""
        return experiment.copy_experiments(batch, source, target)

    def delete_copy(self, batch: Batch, job: Job, source: Source, target: Target) -> str:
        """See ``Carrier.delete_copy``."""
        return experiment.delete_experiment(batch, job, source, target)


class Runs(ContainedCarrier):
    """Runs, with their metrics and files."""

    kind = Kind.RUN
    together = 100
    spreads = True
    colours = ("#dff3e1", "#2e8540")
    checked_for = "new points and files"
    names_as = "the parent of"

    def originals(self, source: Source) -> ReadsContained[Run]:
        """See ``ContainedCarrier.originals``."""
        return source.runs

    def copies(self, target: Target) -> WritesContained[Run]:
        """See ``ContainedCarrier.copies``."""
        return target.runs

    def read_in(self, end: Source, experiment_id: str, ids: Sequence[str]) -> Sequence[Run]:
        """See ``ContainedCarrier.read_in``."""
        return end.runs.read_in(experiment_id, ids)

    def started(self, record: Run) -> int | None:
        """See ``ContainedCarrier.started``."""
        return record.start_time

    def may_change(self, record: Run) -> bool:
        """See ``ContainedCarrier.may_change``."""
        return record.status not in FINAL_RUN_STATUSES

    def sizes(self, record: Run) -> Mapping[str, int]:
        """See ``ContainedCarrier.sizes``."""
        return {
            "params": len(record.params),
            "tags": len(record.tags),
            "metric keys": len(record.latest_metrics),
            "dataset inputs": len(record.inputs),
        }

    def losses(self, record: Run, target: Capabilities, policy: Policy) -> tuple[Loss, ...]:
        """See ``ContainedCarrier.losses``."""
        return fit(record, target, policy)[1]

    def facts(self, record: Run) -> RunFacts:
        """See ``ContainedCarrier.facts``."""
        return run_facts(record)

    def named(self, facts: RunFacts, links: Links) -> Sequence[Ref]:
        """See ``ContainedCarrier.named``."""
        return list(map(run_ref, facts.mentions.values())) if facts.mentions else ()

    def comes_after(self, facts: RunFacts) -> Sequence[Ref]:
        """See ``ContainedCarrier.comes_after``."""
        return list(map(evaluation_dataset_ref, facts.datasets)) if facts.datasets else ()

    def quick_mark(
        self, facts: RunFacts, links: Links, has_copy: HasCopy, target: Capabilities, policy: Policy
    ) -> str:
        """See ``ContainedCarrier.quick_mark``."""
        if target.keeps_id(self.kind):
            content = with_links(facts.content, next(iter(links.values()), NO_LINKS))
            return quick_mark(content, [], policy.in_mark)
        return quick_mark(facts.content, facts.orphans(has_copy), policy.in_mark)

    def warnings(self, facts: RunFacts, has_copy: HasCopy, target: Capabilities) -> Sequence[str]:
        """See ``ContainedCarrier.warnings``."""
        if not facts.mentions or target.keeps_id(self.kind):
            return ()
        return [
            f"{tag} names run {facts.mentions[tag]}, which is not among the runs copied: "
            "kept as a source tag"
            for tag in facts.orphans(has_copy)
        ]

    def carry(self, batch: Batch, source: Source, target: Target) -> Iterator[Outcome]:
        """See ``Carrier.carry``."""
        return copy_runs(batch, source, target)


class LoggedModels(ContainedCarrier):
    """Logged models, with what runs say of them and their files."""

    kind = Kind.LOGGED_MODEL
    colours = ("#d5f2f1", "#117f7c")
    checked_for = "new files"
    names_as = "a run of"
    hides_deleted = True
    deleted_last = True
    writes_to_named = True

    def originals(self, source: Source) -> ReadsContained[LoggedModel]:
        """See ``ContainedCarrier.originals``."""
        return source.logged_models

    def copies(self, target: Target) -> WritesContained[LoggedModel]:
        """See ``ContainedCarrier.copies``."""
        return target.logged_models

    def facts(self, record: LoggedModel) -> ModelFacts:
        """See ``ContainedCarrier.facts``."""
        return facts_of(record)

    def named(self, facts: ModelFacts, links: Links) -> Sequence[Ref]:
        """See ``ContainedCarrier.named``."""
        return list(map(run_ref, sorted(runs_named(facts, links))))

    def quick_mark(
        self,
        facts: ModelFacts,
        links: Links,
        has_copy: HasCopy,
        target: Capabilities,
        policy: Policy,
    ) -> str:
        """See ``ContainedCarrier.quick_mark``."""
        known = {run_id for run_id in runs_named(facts, links) if has_copy(run_ref(run_id))}
        return quick_model_mark(facts, links, known)

    def carry(self, batch: Batch, source: Source, target: Target) -> Iterator[Outcome]:
        """See ``Carrier.carry``."""
        return copy_logged_models(batch, source, target)

    def delete_copy(self, batch: Batch, job: Job, source: Source, target: Target) -> str:
        """See ``Carrier.delete_copy``."""
        copy = job.copies[job.ref.object]
        target.logged_models.delete(batch.target_container, copy, job.ref.id)
        return copy


class RegisteredModels(Carrier):
    """Registered models; their versions are objects of their own."""

    kind = Kind.REGISTERED_MODEL
    chosen_by = "--models"
    renamed_by = registered_model.RENAMED_BY
    guarded = True
    colours = ("#e7defa", "#6b3fc0")

    def carry(self, batch: Batch, source: Source, target: Target) -> Iterator[Outcome]:
        """See ``Carrier.carry``."""
        return registered_model.copy_registered_models(batch, source, target)


class ModelVersions(Carrier):
    """Versions of registered models, each under its own number."""

    kind = Kind.MODEL_VERSION
    colours = ("#f5e3f7", "#a23bb0")

    def carry(self, batch: Batch, source: Source, target: Target) -> Iterator[Outcome]:
        """See ``Carrier.carry``."""
        return copy_versions(batch, source, target)


class Prompts(RegisteredModels):
    """Prompts, which MLflow keeps among registered models."""

    kind = Kind.PROMPT
    #: The option for models names them too, and may name none of them.
    chosen_by = ""
    colours = ("#fde7cf", "#b35c00")


class PromptVersions(ModelVersions):
    """Versions of prompts."""

    kind = Kind.PROMPT_VERSION
    colours = ("#fdf3c4", "#8f7200")


class Traces(Carrier):
    """Traces with their spans and assessments, a slice of them in one task."""

    kind = Kind.TRACE
    together = 1
    colours = ("#fbdfe4", "#b3304f")

    def carry(self, batch: Batch, source: Source, target: Target) -> Iterator[Outcome]:
        """See ``Carrier.carry``."""
        return copy_slices(batch, source, target)

    def lost_object(self, loss: Loss) -> Ref | None:
        """See ``Carrier.lost_object``."""
        return trace_of(loss)


CARRIERS: tuple[Carrier, ...] = (
    Experiments(),
    Runs(),
    LoggedModels(),
    RegisteredModels(),
    ModelVersions(),
    Prompts(),
    PromptVersions(),
    Traces(),
    EvaluationDatasets(),
    Scorers(),
    Issues(),
    LabelSchemas(),
    ReviewQueues(),
    MCPServers(),
    Skills(),
    GatewaySecrets(),
    GatewayModels(),
    GatewayEndpoints(),
    GatewayBudgets(),
    GatewayGuardrails(),
    Webhooks(),
    Users(),
    Roles(),
)


def carrier_of(kind: Kind) -> Carrier | None:
    """Return the carrier of a kind; None for one that is not copied."""
    return next((carrier for carrier in CARRIERS if carrier.kind is kind), None)


def contained_carriers() -> list[ContainedCarrier]:
    """Return the carriers of what experiments hold, with copies that tell their origin."""
    return [carrier for carrier in CARRIERS if isinstance(carrier, ContainedCarrier)]


def record_carriers() -> list[RecordCarrier[Any]]:
    """Return the carriers of kinds that stores list."""
    return [carrier for carrier in CARRIERS if isinstance(carrier, RecordCarrier)]
