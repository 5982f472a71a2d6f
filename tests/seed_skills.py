"""Skills: how a server is filled with them, and what it shows of them (MLflow 3.18)."""

from __future__ import annotations

import io
import json
import tarfile
import uuid
from collections.abc import Mapping
from typing import Any

import requests

from tests.seed_records import Api, Json, Seeded

FULL, OF_TEAM, BARE = "review-code", "@acme.io/summarize", "nothing-yet"
FILES = {"SKILL.md": "# Reviews code ☃\n" * 200, "scripts/run.py": "print(1)\n", "a b/ü.txt": ""}


def packed(files: Mapping[str, str]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content.encode())
            archive.addfile(entry, io.BytesIO(content.encode()))
    return out.getvalue()


def upload(api: Api, skill: str, files: Mapping[str, str], status: str = "draft") -> Json:
    """Make a version whose files the server keeps."""
    url = f"{api.uri}/api/3.0/mlflow/skills/{skill}/versions"
    form = {
        "metadata": (None, json.dumps({"status": status}), "application/json"),
        "content": ("content.tar.gz", packed(files), "application/gzip"),
    }
    answer = requests.post(url, files=form, timeout=60)
    assert answer.ok, answer.text
    found: Json = answer.json()
    return found


def from_git(api: Api, skill: str, ref: str, **said: Any) -> Json:
    body = {"source_type": "git", "source": "https://git.example.com/a.git", "ref": ref, **said}
    return api("POST", f"skills/{skill}/versions", body)


def seed_skills(api: Api) -> None:
    icon = {"src": "https://93.184.216.34/icon.png", "mimeType": "image/png", "odd": [1, None]}
    body = {"name": FULL, "description": "Reviews. ☃", "icons": [icon]}
    api("POST", "skills", body)
    upload(api, FULL, FILES, status="active")
    upload(api, FULL, {"SKILL.md": "gone"})
    from_git(api, FULL, "v3", subpath="skills/review", digest="ab" * 32, status="active")
    upload(api, FULL, {**FILES, "SKILL.md": "# Two\n"})
    api("DELETE", f"skills/{FULL}/versions/2")
    api("PATCH", f"skills/{FULL}/versions/1", {"status": "deprecated"})
    for place in (f"skills/{FULL}", f"skills/{FULL}/versions/1"):
        for key in ("team", "a.b c"):
            api("POST", f"{place}/tags", {"key": key, "value": "Ünïcödé"})
    for alias, version in (("stable", 1), ("next", 4)):
        api("POST", f"skills/{FULL}/aliases", {"alias": alias, "version": version})
    api("POST", "skills", {"name": "summarize", "organization": "acme.io"})
    zipped = {"source_type": "zip", "source": "https://example.com/summarize.zip"}
    api("POST", f"skills/{OF_TEAM}/versions", zipped)
    upload(api, OF_TEAM, FILES, status="active")
    api("POST", "skills", {"name": BARE})


def change_skill(api: Api) -> None:
    """A version more, one less, others of its states, and a tag."""
    versions = api("GET", f"skills/{FULL}/versions")["skill_versions"]
    draft = max(it["version"] for it in versions if it["status"] == "draft")
    api("DELETE", f"skills/{FULL}/versions/{draft}")
    upload(api, FULL, {"SKILL.md": uuid.uuid4().hex})
    third = next(it for it in versions if it["version"] == 3)
    moved = "draft" if third["status"] == "active" else "active"
    api("PATCH", f"skills/{FULL}/versions/3", {"status": moved})
    api("POST", f"skills/{FULL}/tags", {"key": "team", "value": uuid.uuid4().hex})
    api("PATCH", f"skills/{FULL}", {"description": None})


def own_skill(api: Api) -> None:
    api("POST", "skills", {"name": BARE, "description": "another"})


def files_of(api: Api, root: str, folder: str = "") -> Json:
    """Return the files that a server keeps at a place, by their paths."""
    place = f"{root}/{folder}".rstrip("/")
    url = f"{api.uri}/api/2.0/mlflow-artifacts/artifacts"
    found: Json = {}
    for it in requests.get(url, params={"path": place}, timeout=60).json().get("files", ()):
        path = f"{folder}/{it['path']}".lstrip("/")
        if it["is_dir"]:
            found |= files_of(api, root, path)
        else:
            found[path] = requests.get(f"{url}/{root}/{path}", timeout=60).text
    return found


def skills_shown(api: Api) -> list[Json]:
    given_out = ("creation_timestamp", "last_updated_timestamp", "workspace")
    by = ("created_by", "last_updated_by")
    shown = []
    for skill in api("GET", "skills")["skills"]:
        team = skill["organization"]
        name = f"@{team}/{skill['name']}" if team else skill["name"]
        versions = api("GET", f"skills/{name}/versions")["skill_versions"]
        for version in versions:
            if version["source_type"] == "mlflow":
                root = version.pop("source").removeprefix("mlflow-artifacts:/")
                version["files"] = files_of(api, root)
                assert version["files"]
        skill["versions"] = versions
        skill["aliases"].sort(key=str)
        for record in (skill, *versions):
            for it in (*given_out, *by):
                record.pop(it, None)
        shown.append(skill)
    return shown


SKILLS = Seeded(
    kind="skill",
    count=3,
    seed=seed_skills,
    change=change_skill,
    own=own_skill,
    shown=skills_shown,
    create="/skills$",
)
