"""Compares registered models, prompts and their versions with those of the target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from migrate.errors import Refused
from migrate.kinds import Ref, experiment_ref, run_ref
from migrate.objects import NO_RUN, ModelVersion, RegisteredModel
from migrate.origins import ORIGIN, SOURCE, known_losses
from migrate.outcomes import Loss
from migrate.tasks.collisions import (
    kept_of_model,
    without_taken,
)
from migrate.tasks.existing_versions import (
    ExistingVersions,
    existing_models,
    existing_versions,
)
from migrate.tasks.model_version import wanted_version
from migrate.tasks.registered_model import (
    changes_of_model,
    experiments_named,
    is_ours,
    model_origin,
    wanted_registered_model,
)
from migrate.tasks.repairs import comparable_tags
from migrate.tasks.version_numbers import is_placeholder
from migrate.tasks.version_sources import VersionSource, copied_source, named_by
from migrate.verify.copies import Copies
from migrate.verify.files import compare_version_files
from migrate.verify.permissions import compare_permissions
from migrate.verify.result import MISSING, Comparison, Ends


def compare_registry(
    ends: Ends,
    copies: Copies,
    models: Sequence[RegisteredModel],
    versions: Sequence[ModelVersion],
) -> Iterator[Comparison]:
    """Compare registered models and prompts one by one, each with its ``versions``."""
    if not models:
        return
    there = _on_target(ends, models)
    existing = existing_versions(ends.target, list(there.values()))
    of_model: dict[Ref, list[ModelVersion]] = {}
    for version in versions:
        of_model.setdefault(version.model, []).append(version)
    matches = {
        version.ref: _copies_of(version, existing[there[version.model].name])
        for version in versions
        if version.model in there
    }
    # A version may be made of one of any other model: all are known before any is compared.
    for ref, found in matches.items():
        if found:
            copies.add_version(ref, found[0].ref.id)
    for model in models:
        result = Comparison()
        result.compared[model.kind] += 1
        wanted = of_model.get(model.ref, [])
        for version in wanted:
            result.compared[version.kind] += 1
        copy = there.get(model.ref)
        if copy is None:
            result.differs(
                model.ref, MISSING, f"{model.name!r} is not on the target", of_copy=False
            )
        else:
            _compare_model(ends, copies, model, copy, result)
            for version in filter(is_placeholder, existing[copy.name].all):
                result.differs(model.ref, f"version {version.version}", "is a placeholder only")
        taken = existing[copy.name].taken_aliases(wanted, ends.policy) if copy else {}
        for version in wanted:
            found = matches.get(version.ref, ())
            ours = copy is not None and is_ours(copy, model, ends.target.capabilities())
            _compare_versions(ends, copies, model, version, found, result, ours=ours, taken=taken)
        yield result


def _on_target(ends: Ends, models: Sequence[RegisteredModel]) -> dict[Ref, RegisteredModel]:
    """Return the copy of each: the one of its name, else one made from it and named otherwise."""
    names = dict.fromkeys(_name_for(ends, model) for model in models)
    by_name = existing_models(ends.target, names)
    others = ends.target.registered_models.list() if len(by_name) < len(names) else ()
    by_origin = {model.tags.get(ORIGIN): model for model in reversed([*others])}
    found = {}
    for model in models:
        copy = by_name.get(_name_for(ends, model)) or by_origin.get(model_origin(model))
        if copy:
            found[model.ref] = copy
    return found


def _name_for(ends: Ends, model: RegisteredModel) -> str:
    return ends.renames.name_for(model.kind, model.name)


def _copies_of(version: ModelVersion, existing: ExistingVersions) -> Sequence[ModelVersion]:
    """Return all copies of a version, one that has its number first."""
    found = existing.copies_of(version)
    return sorted(found, key=lambda copy: copy.version != version.version)


def _compare_model(
    ends: Ends,
    copies: Copies,
    model: RegisteredModel,
    copy: RegisteredModel,
    result: Comparison,
) -> None:
    ref = model.ref
    can = ends.target.capabilities()
    result.check(ref, "name", _name_for(ends, model), copy.name, lasting=True)
    result.check(ref, "kind", str(model.kind), str(copy.kind), lasting=True)
    experiments = copies.ids(experiment_ref(ident) for ident in experiments_named(model))
    wanted, losses = wanted_registered_model(model, experiments, can, ends.policy)
    result.declare(ref, losses + known_losses(copy))
    ours = is_ours(copy, model, can)
    if ours:
        tags, there = wanted.tags, copy.tags
    else:
        # It keeps what it had, and lacks nothing.
        wanted = changes_of_model(copy, wanted, model)
        result.declare(ref, kept_of_model(copy, wanted, model))
        tags, there = wanted.tags, copy.tags
    result.check(ref, "description", wanted.description, copy.description)
    _check_tags(ends, ref, tags, there, result)
    compare_permissions(ends, ref, copy.ref, result, ours=ours)


def _check_tags(
    ends: Ends, ref: Ref, tags: Mapping[str, str], there: Mapping[str, str], result: Comparison
) -> None:
    can = ends.target.capabilities()
    mine = comparable_tags(ref.kind, tags, tags, can, ends.policy)
    theirs = comparable_tags(ref.kind, there, tags, can, ends.policy)
    result.check_items(ref, "tag", mine, theirs)


def _compare_versions(
    ends: Ends,
    copies: Copies,
    model: RegisteredModel,
    version: ModelVersion,
    found: Sequence[ModelVersion],
    result: Comparison,
    *,
    ours: bool,
    taken: Mapping[str, int],
) -> None:
    ref = version.ref
    if not found:
        result.differs(
            ref, MISSING, f"version {version.version} is not on the target", of_copy=False
        )
        return
    if len(found) > 1:
        numbers = ", ".join(str(copy.version) for copy in found)
        detail = f"the target holds {len(found)} of them: {numbers}"
        result.differs(ref, "copies", detail, lasting=True, of_copy=False)
    copy = found[0]
    if copy.version != version.version:
        if not ours:
            reason = f"{copy.name!r} was on the target already: it is version {copy.version} there"
            result.declare(ref, [Loss("number", reason)])
        result.check(ref, "number", version.version, copy.version, lasting=True)
    known = copies.ids(named_by(version))
    expected = _compare_source(ends, copies, version, copy, known, result)
    can = ends.target.capabilities()
    run = ends.source.model_versions.run_of(version) if ends.policy.source_tags else NO_RUN
    wanted = wanted_version(
        version, copy.name, expected, known, can, ends.policy, run, aliases=model.aliases
    )
    result.declare(ref, wanted.losses + known_losses(copy))
    for field in ("description", "stage", "run_link"):
        what = field.replace("_", " ")
        old, new = getattr(wanted.version, field), getattr(copy, field)
        result.check(ref, what, old, new, lasting=field == "run_link")
    result.declare(ref, without_taken(version, taken)[1])
    aliases = [dict.fromkeys(item.aliases, "an alias") for item in (version, copy)]
    result.check_items(ref, "alias", aliases[0], aliases[1])
    _check_tags(ends, ref, wanted.version.tags, copy.tags, result)
    if ends.policy.version_models and not version.is_of_prompt:
        compare_version_files(ends, version, result)


def _compare_source(
    ends: Ends,
    copies: Copies,
    version: ModelVersion,
    copy: ModelVersion,
    known: Mapping[Ref, str],
    result: Comparison,
) -> VersionSource:
    """Compare what a version is made of; return what its copy should be made of."""
    ref = version.ref
    there = VersionSource(copy.source, copy.run_id, copy.model_id)
    if ends.target.capabilities().archive or version.is_of_prompt:
        expected = VersionSource(version.source, version.run_id, version.model_id)
    else:
        try:
            expected = copied_source(version, _known_then(version, copy, known), copies.place)
        except Refused as problem:
            result.differs(ref, "source", str(problem), lasting=True)
            return there
    if ends.target.capabilities().keeps_id(run_ref(version.run_id).kind) and (
        there.run_id == version.run_id
    ):
        expected = expected._replace(run_id=there.run_id)
    else:
        result.declare(ref, _run_left_out(version, copy, known))
    result.check(ref, "source", expected.source, there.source, lasting=True)
    result.check(ref, "run", expected.run_id, there.run_id, lasting=True)
    return expected


def _known_then(
    version: ModelVersion, copy: ModelVersion, known: Mapping[Ref, str]
) -> Mapping[Ref, str]:
    """Return the copies that were there when ``copy`` was made: it says itself whose run was not.

    Nobody can change the source or run of a version later.
    """
    if not _lacks_run(version, copy):
        return known
    return {ref: target_id for ref, target_id in known.items() if ref.id != version.run_id}


def _lacks_run(version: ModelVersion, copy: ModelVersion) -> bool:
    return bool(version.run_id) and copy.tags.get(SOURCE + "run_id") == version.run_id


def _run_left_out(
    version: ModelVersion, copy: ModelVersion, known: Mapping[Ref, str]
) -> Iterator[Loss]:
    if _lacks_run(version, copy):
        later = run_ref(version.run_id) in known
        why = "was not copied before it" if later else "has no copy"
        yield Loss("run", f"run {version.run_id} {why}: kept as a source tag")
