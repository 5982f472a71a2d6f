"""Plans of every size to draw: objects of all kinds, as real ones need each other."""

from __future__ import annotations

from migrate.kinds import Action, Kind, Ref, Step
from migrate.plans import Plan, PlannedTask

from .samples import plan, task


def experiment(number: int, action: Action = Action.CREATE, name: str = "") -> PlannedTask:
    return task(Kind.EXPERIMENT, str(number), action, name=name or f"experiment-{number}")


def run(ident: str, number: int, action: Action = Action.CREATE, parent: str = "") -> PlannedTask:
    needs = [Ref(Kind.EXPERIMENT, str(number))] + ([Ref(Kind.RUN, parent)] if parent else [])
    if action is Action.SKIP:
        needs = []
    return task(
        Kind.RUN,
        ident,
        action,
        name=f"run-{ident}",
        needs=tuple(needs),
        container=str(number),
        reason="started before --run-start-time" if action is Action.SKIP else "",
    )


def mixed() -> Plan:
    """About 25 objects: every kind and action, nested runs, and versions that wait in order."""
    tasks = [
        experiment(1, name="fraud detection"),
        experiment(2, Action.ADOPT, name="churn (weekly)"),
        experiment(3, Action.SKIP, name="scratch"),
        run("sweep", 1),
        *(run(f"sweep-{n}", 1, parent="sweep") for n in range(4)),
        run("base", 2, Action.UPDATE),
        run("tuned", 2, Action.ADOPT, parent="base"),
        *(run(f"old-{n}", 3, Action.SKIP) for n in range(2)),
        task(
            Kind.LOGGED_MODEL,
            "m-1",
            name="classifier",
            container="1",
            needs=(Ref(Kind.RUN, "sweep-2"), Ref(Kind.EXPERIMENT, "1")),
        ),
        task(
            Kind.LOGGED_MODEL,
            "m-2",
            name="classifier",
            container="2",
            needs=(Ref(Kind.RUN, "tuned"), Ref(Kind.EXPERIMENT, "2")),
        ),
        task(Kind.REGISTERED_MODEL, "fraud-classifier", name="fraud-classifier"),
        task(
            Kind.EXPERIMENT,
            "1",
            step=Step.DELETION,
            needs=(Ref(Kind.RUN, "sweep"), Ref(Kind.LOGGED_MODEL, "m-1")),
        ),
        task(Kind.PROMPT, "greeting", name="greeting"),
        task(Kind.TRACE, "tr-1", Action.UNSUPPORTED, reason="the target takes no traces"),
    ]
    for number in range(1, 5):
        made_of = Ref(Kind.LOGGED_MODEL, "m-1") if number < 3 else Ref(Kind.LOGGED_MODEL, "m-2")
        before = f"fraud-classifier/{number - 1}"
        tasks.append(
            task(
                Kind.MODEL_VERSION,
                f"fraud-classifier/{number}",
                name=f"fraud-classifier version {number}",
                needs=(Ref(Kind.REGISTERED_MODEL, "fraud-classifier"), made_of),
                after=(Ref(Kind.MODEL_VERSION, before),) if number > 1 else (),
                number=number,
            )
        )
    for number in (1, 2):
        tasks.append(
            task(
                Kind.PROMPT_VERSION,
                f"greeting/{number}",
                name=f"greeting version {number}",
                needs=(Ref(Kind.PROMPT, "greeting"),),
                after=(Ref(Kind.PROMPT_VERSION, "greeting/1"),) if number > 1 else (),
            )
        )
    return plan(*tasks)


def large(experiments: int = 60, runs: int = 5_000, models: int = 40) -> Plan:
    """Thousands of objects in experiments of very different sizes."""
    tasks = [experiment(number) for number in range(experiments)]
    # Squares: the first experiments get most of the runs.
    homes = [int(experiments * (number / runs) ** 2) for number in range(runs)]
    for number, home in enumerate(homes):
        action = (Action.CREATE, Action.CREATE, Action.CREATE, Action.UPDATE)[number % 4]
        nested = number % 9 == 4 and homes[number - 4] == home
        tasks.append(run(f"{number:x}", home, action, f"{number - 4:x}" if nested else ""))
    tasks += [run(f"skipped-{number}", number % experiments, Action.SKIP) for number in range(100)]
    for number in range(models):
        tasks.append(task(Kind.REGISTERED_MODEL, f"model-{number}", name=f"model-{number}"))
        for version in range(1, 2 + number % 7):
            made_by = Ref(Kind.RUN, f"{(number * 97 + version * 13) % runs:x}")
            before = Ref(Kind.MODEL_VERSION, f"model-{number}/{version - 1}")
            tasks.append(
                task(
                    Kind.MODEL_VERSION,
                    f"model-{number}/{version}",
                    needs=(Ref(Kind.REGISTERED_MODEL, f"model-{number}"), made_by),
                    after=(before,) if version > 1 else (),
                )
            )
    return plan(*tasks)
