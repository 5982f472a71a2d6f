"""Skills of the registry, in numbered versions (MLflow 3.18)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, BinaryIO, NamedTuple

#: The type of a source that MLflow keeps itself, among its artifacts.
KEPT = "mlflow"
#: The source of a version that only takes a number: MLflow looks at no source by itself.
PASSED_OVER = "https://mlflow-migrate.invalid/passed-over.git"


class SkillVersion(NamedTuple):
    """A version; ``status`` is draft, active or deprecated.

    ``source_type`` is git, oci, zip or ``KEPT``, and ``source`` where its files are; ``digest`` the
    SHA-256 of these, where it is known, as MLflow counts it.
    """

    version: int
    status: str = "draft"
    source_type: str = ""
    source: str = ""
    ref: str = ""
    subpath: str = ""
    digest: str = ""
    tags: Mapping[str, str] = {}
    creation_timestamp: int | None = None
    last_updated_timestamp: int | None = None
    created_by: str = ""
    last_updated_by: str = ""

    @property
    def is_kept(self) -> bool:
        """Whether MLflow keeps its files itself."""
        return self.source_type == KEPT

    @property
    def is_passed_over(self) -> bool:
        """Whether it only takes a number, until the version behind it is there."""
        return self.source == PASSED_OVER

    @property
    def made_of(self) -> tuple[str, ...]:
        """What is never changed of it. Where MLflow keeps its files is for each server to say."""
        place = () if self.is_kept else (self.source, self.ref, self.subpath)
        return (self.source_type, *place, self.digest)

    @property
    def content(self) -> tuple[Any, ...]:
        """All that is copied of it."""
        return (self.version, self.status, self.made_of, sorted(self.tags.items()))


class SkillFiles(NamedTuple):
    """A version, and how its files are opened as one archive (tar, gzip): None for no files."""

    version: SkillVersion
    open: Callable[[], AbstractContextManager[BinaryIO]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Skill:
    """A skill with all its versions; ``aliases`` name versions.

    ``identity`` is MLflow's word for ``NAME``, or ``@ORGANIZATION/NAME`` of an organization's.
    """

    identity: str
    description: str | None = None
    icons: tuple[Mapping[str, Any], ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, int] = field(default_factory=dict)
    versions: tuple[SkillVersion, ...] = ()
    creation_timestamp: int | None = None
    last_updated_timestamp: int | None = None
    created_by: str = ""
    last_updated_by: str = ""

    @property
    def name(self) -> str:
        """Its name in its organization."""
        return self.identity.rpartition("/")[2]

    @property
    def organization(self) -> str:
        """Its organization, empty for none."""
        return self.identity.rpartition("/")[0].removeprefix("@")


def skill_identity(organization: str, name: str) -> str:
    """Return MLflow's word for a skill."""
    return f"@{organization}/{name}" if organization else name
