"""Other names for the copies: rules of the user, the first that fits a name. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from migrate.errors import UsageError
from migrate.kinds import Kind
from migrate.tasks import experiment, registered_model
from migrate.tasks.carriers import carrier_of

Rule = tuple[str, str]  #: what a name is or begins with, and what takes its place

FORMAT_HINT = (
    "write one rule a line: old_name,new_name (a name may stand in double quotes, and has to "
    "where it holds a comma, or begins or ends with a blank)"
)
#: A name in double quotes, within which a quote is doubled, or one that does not begin with any.
_FIELD = re.compile(r'\s*+(?:"((?:[^"]|"")*)"\s*|((?!")[^,]*))(,|\Z)')


@dataclass(frozen=True, slots=True)
class Renames:
    """The rules for experiments and for registered models and prompts, each in its file's order."""

    experiments: tuple[Rule, ...] = ()
    models: tuple[Rule, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.experiments or self.models)

    def rules_for(self, kind: Kind) -> tuple[Rule, ...]:
        """Return the rules for objects of a kind; none for most kinds."""
        by_option = {
            experiment.RENAMED_BY: self.experiments,
            registered_model.RENAMED_BY: self.models,
        }
        carrier = carrier_of(kind)
        return by_option.get(carrier.renamed_by, ()) if carrier else ()

    def name_for(self, kind: Kind, name: str) -> str:
        """Return the name that the copy of an object gets; its own where no rule fits."""
        return renamed(name, self.rules_for(kind))


NO_RENAMES = Renames()


def renamed(name: str, rules: Sequence[Rule]) -> str:
    """Replace the whole of a name or its beginning, once, by the first rule that fits."""
    rule = rule_for(name, rules)
    return name if rule is None else rule[1] + name.removeprefix(rule[0])


def rule_for(name: str, rules: Sequence[Rule]) -> Rule | None:
    """Return the first rule that fits a name, None where none does."""
    return next((rule for rule in rules if name.startswith(rule[0])), None)


def read_rules(path: Path, option: str) -> tuple[Rule, ...]:
    """Read a file of rules, one a line. Raises ``UsageError`` naming what is wrong and where."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as problem:
        raise UsageError(f"{option}: cannot read {path}: {problem}", FORMAT_HINT) from None
    rules: list[Rule] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        rules.append(_rule(line, f"{option}: line {number} of {path}"))
    if not rules:
        raise UsageError(f"{option}: {path} holds no rule", FORMAT_HINT)
    return tuple(rules)


def _rule(line: str, where: str) -> Rule:
    fields = _fields(line)
    if fields is None:
        raise UsageError(f"{where} is no rule (are its quotes right?): {line!r}", FORMAT_HINT)
    if len(fields) != 2:
        raise UsageError(f"{where} has {len(fields)} names, not two: {line!r}", FORMAT_HINT)
    old, new = fields
    if not old or not new:
        raise UsageError(f"{where} has an empty name: {line!r}", FORMAT_HINT)
    return old, new


def _fields(line: str) -> list[str] | None:
    """Return the names in a line, blanks around them removed but not those within quotes."""
    names: list[str] = []
    at = 0
    while (field := _FIELD.match(line, at)) is not None:
        quoted, plain, end = field.groups()
        names.append(plain.strip() if quoted is None else quoted.replace('""', '"'))
        if not end:
            return names
        at = field.end()
    return None
