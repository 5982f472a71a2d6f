"""Graphs are well-formed whatever servers call things, and are there whole or not at all."""

from __future__ import annotations

import json
import os
import re
import stat
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from migrate.errors import UsageError
from migrate.kinds import Action, Kind, Ref
from migrate.plans import Plan
from migrate.views.graph import WRITERS, check_graph_path, write_graph
from migrate.views.graph.mermaid import escaped
from migrate.views.graph.style import fitted, width_of
from tests.state.samples import plans

from .plans import large, mixed
from .samples import HOSTILE, plan, task

SVG = "{http://www.w3.org/2000/svg}"
NASTY = [
    HOSTILE,
    '"><script>alert(1)</script>',
    "' onload='alert(1)",
    "</title></svg><script>alert(1)</script>",
    "]] --> n0 %%{init: {}}%% `**b**`",
    "&amp; &lt; &#0; ]]>",
    "line\nbreak\r\n\ttab\0\x0b\ufffe\uffff",
    "end\nclick n0 call alert()",
]


def named(name: str) -> Plan:
    """Small enough for a box each, and with the name everywhere that a server can put one."""
    experiment = task(Kind.EXPERIMENT, "1", name=name, reason=name, because=(name,))
    run = task(Kind.RUN, name or "x", name=name, needs=(experiment.ref,), container="1")
    return plan(experiment, run, task(Kind.RUN, "skipped", Action.SKIP, name=name))


def folded(name: str) -> Plan:
    experiment = task(Kind.EXPERIMENT, "1", name=name)
    runs = (
        task(Kind.RUN, f"{number} {name}", name=name, needs=(experiment.ref,), container="1")
        for number in range(100)
    )
    return plan(experiment, *runs)


def picture(value: Plan) -> ElementTree.Element:
    return ElementTree.fromstring(WRITERS[".svg"](value).encode())


def texts(root: ElementTree.Element, kind: str) -> list[str]:
    return [found.text or "" for found in root.iter(f"{SVG}text") if found.get("class") == kind]


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}


@given(plans())
def test_any_plan_is_a_well_formed_picture(value: Plan) -> None:
    root = picture(value)
    boxes = [found for found in root.iter(f"{SVG}g") if found.find(f"{SVG}title") is not None]
    assert len(boxes) == len(value.tasks)


@pytest.mark.parametrize("make", [named, folded])
@pytest.mark.parametrize("name", NASTY, ids=range(len(NASTY)))
def test_no_name_becomes_markup(name: str, make: object) -> None:
    value, harmless = make(name), make("name")  # type: ignore[operator]
    elements = [element.tag for element in picture(value).iter()]
    assert elements == [element.tag for element in picture(harmless).iter()]

    page, plain = _Page(), _Page()
    page.feed(WRITERS[".html"](value))
    plain.feed(WRITERS[".html"](harmless))
    assert (page.tags, page.attributes) == (plain.tags, plain.attributes)
    assert page.tags.count("script") == 1

    chart = WRITERS[".mmd"](value).splitlines()
    assert len(chart) == len(WRITERS[".mmd"](harmless).splitlines())
    for line in chart[1:]:
        assert re.fullmatch(
            r'  n\d+(\[|\[\[)"[^"`\[\]{}%<>]*<br/>[^"`\[\]{}%<>]*"(\]|\]\])'
            r"|  n\d+ -->(\|\d+\|)? n\d+|  classDef \w+ [\w:#,]+|  class [\w,]+ \w+",
            line,
        ), line

    data = json.loads(WRITERS[".json"](value))
    assert data["nodes"][0]["name"] == name


@given(st.text())
def test_mermaid_gets_letters_and_entities_only(text: str) -> None:
    assert not set('"`[]{}()<>%|\\&\n') & set(escaped(text))
    decoded = re.sub(r"#(\d+);", lambda found: chr(int(found[1])), escaped(text))
    assert decoded == text


def test_a_box_says_what_it_is_and_in_full_when_asked() -> None:
    long = "a name that does not fit into any box of a drawing " * 3
    root = picture(
        plan(
            task(Kind.EXPERIMENT, "7", name=long),
            task(
                Kind.RUN,
                "r",
                Action.ADOPT,
                name="train",
                reason="copied before",
                because=("the run of model version:m/1",),
                needs=(Ref(Kind.EXPERIMENT, "7"),),
                container="7",
            ),
        )
    )
    label, train = texts(root, "label")
    assert label.endswith("…")
    assert long.startswith(label[:-1])
    assert train == "train"
    assert texts(root, "caption") == ["experiment, to create", "run, to adopt"]
    titles = [title.text or "" for title in root.iter(f"{SVG}title")]
    assert f"experiment {long} (7)\nto create" in titles
    assert (
        f"run train (r)\nto adopt\nin {long}\ncopied before\n"
        "in the plan as the run of model version:m/1" in titles
    )


def test_a_folded_box_counts_and_names_some() -> None:
    root = picture(large())
    assert "485 runs to create" in texts(root, "label")
    assert "in experiment-0" in texts(root, "caption")
    assert "485" in texts(root, "count")
    (title,) = (
        title.text or ""
        for title in root.iter(f"{SVG}title")
        if (title.text or "").startswith("485 runs to create\nin experiment-0")
    )
    assert title.count("\n- run-") == 15
    assert title.endswith("and 470 more")


def test_the_legend_explains_what_is_drawn_and_nothing_else() -> None:
    notes = texts(picture(mixed()), "note")
    assert {item.ref.kind.plural for item in mixed().tasks} <= set(notes)
    assert {"to create", "skipped", "is needed by", "has to end before"} <= set(notes)
    only = texts(picture(plan(task(Kind.RUN, "a"))), "note")
    assert {"runs", "to create"} <= set(only)
    assert not {"experiments", "skipped", "is needed by"} & set(only)


def test_everything_stands_inside_the_picture() -> None:
    for value in (mixed(), large(), plan()):
        root = picture(value)
        width, height = float(root.get("width", 0)), float(root.get("height", 0))
        drawn = root.findall(f"{SVG}g")[-1]
        top = float(re.findall(r"[\d.]+", drawn.get("transform", ""))[1])
        for box in drawn.findall(f"{SVG}g"):
            x, y = map(float, re.findall(r"[\d.]+", box.get("transform", "")))
            outline = box.findall(f".//{SVG}rect")[-1]
            assert x + float(outline.get("width", 0)) < width
            assert top + y + float(outline.get("height", 0)) < height


def test_a_page_needs_nothing_from_the_network() -> None:
    text = WRITERS[".html"](mixed())
    assert set(re.findall(r"https?://([^/:]+)", text)) == {"www.w3.org", "old", "new"}
    assert not re.search(r"\b(src|href|import|url)\b\s*[=(](?!#arrow)", text)


def test_data_holds_every_object_and_need_unfolded() -> None:
    value = large()
    data = json.loads(WRITERS[".json"](value))
    assert [node["ref"] for node in data["nodes"]] == [str(item.ref) for item in value.tasks]
    assert len(data["edges"]) == sum(len(item.needs) + len(item.after) for item in value.tasks)
    assert {"from": "experiment:0", "to": "run:0", "type": "needs"} in data["edges"]
    after = {"from": "model version:model-1/1", "to": "model version:model-1/2", "type": "after"}
    assert after in data["edges"]
    assert data["nodes"][0] == {
        "ref": "experiment:0",
        "kind": "experiment",
        "id": "0",
        "name": "experiment-0",
        "action": "create",
        "status": "pending",
        "reason": "",
        "because": [],
        "container": "",
    }


def test_a_flowchart_says_counts_and_what_is_soft() -> None:
    assert re.search(r"^  n\d+ -->\|485\| n\d+$", WRITERS[".mmd"](large()), re.M)
    assert WRITERS[".mmd"](mixed()).count("-.->") == 4


@given(st.text(min_size=1), st.floats(20, 300))
@example(":II0000", 42.0)
def test_text_is_cut_to_its_width(text: str, width: float) -> None:
    assert width_of(fitted(text, width, 12), 12) <= max(width, width_of("…", 12))


# -- files --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["plan", "plan.png", "plan.svg.gz", ".svg"])
def test_an_unknown_ending_is_told_with_those_there_are(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="no ending") as caught:
        check_graph_path(tmp_path / name)
    assert all(ending in caught.value.hint for ending in (".svg", ".html", ".mmd", ".json"))


@pytest.mark.parametrize("ending", [*WRITERS, ".SVG"])
def test_a_file_is_written_in_place_of_the_old_one(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"plan{ending}"
    write_graph(mixed(), path)
    assert path.read_text(encoding="utf-8") == WRITERS[ending.lower()](mixed())
    assert stat.S_IMODE(path.stat().st_mode) & 0o600 == 0o600
    path.chmod(0o640)
    write_graph(plan(), path)
    assert path.read_text(encoding="utf-8") == WRITERS[ending.lower()](plan())
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert list(tmp_path.iterdir()) == [path]


def test_places_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no folder"):
        check_graph_path(tmp_path / "gone" / "plan.svg")
    (tmp_path / "folder.svg").mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        check_graph_path(tmp_path / "folder.svg")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="there is no folder"):
        check_graph_path(tmp_path / "file" / "plan.svg")


def test_a_folder_without_permission_is_named(tmp_path: Path) -> None:
    """``access`` tells the truth about the real user, and root may write everywhere."""
    closed = Path("/proc") if os.geteuid() == 0 else tmp_path
    if closed == tmp_path:
        tmp_path.chmod(0o555)
    with pytest.raises(UsageError, match=r"no permission|cannot be written"):
        write_graph(plan(), closed / "plan.svg")


def test_an_error_while_writing_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "plan.svg"
    path.write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UsageError, match="No space left on device"):
        write_graph(plan(), path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
