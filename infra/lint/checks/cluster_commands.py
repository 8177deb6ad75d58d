"""The documentation's kubectl commands: what they name is in an overlay, and whoever scales a workload is not scaled back."""

import re
import shlex
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple

from infra.lint.cluster import Overlay, labels_of, overlays, pod_of
from infra.lint.finding import Finding
from infra.lint.tree import Tree

NAMESPACE = "genai"
PAUSED = "autoscaling.keda.sh/paused-replicas"
#: In code within a line, or a line of a block of code.
_COMMAND = re.compile(r"`(kubectl [^`\n]+)`|^[ \t]*(kubectl (?:.*\\\n)*.+)$", re.MULTILINE)
_SECTION = re.compile(r"^##+ ", re.MULTILINE)
_OVERLAY = re.compile(r"infra/k8s/overlays/(\w+/\w+)")
#: A word of kubectl's for a kind, in lower case and singular -> the kind.
_KINDS = {
    kind.lower(): kind
    for kind in (
        *("Deployment", "Rollout", "ScaledObject", "Job", "Service", "Ingress", "ConfigMap", "Secret", "ServiceAccount"),
        *("NetworkPolicy", "PodDisruptionBudget", "ExternalSecret", "Certificate", "AnalysisTemplate", "Namespace"),
    )
} | {"deploy": "Deployment", "svc": "Service", "cm": "ConfigMap", "pods": "Pod", "pod": "Pod"}
#: Kinds whose things are no manifest of an overlay's: pods get their names from the cluster, secrets come from a store.
_MADE_THERE = ("Pod", "Secret")
_ROLLOUTS_OWN = ("abort", "get", "pause", "promote", "restart", "retry", "status", "undo")
_RUNS = ("restart", "undo", "pause", "resume", "status", "history")


class _Command(NamedTuple):
    """One command in the platform's namespace. `things` are (kind, name), the name empty where all of the kind are meant.
    `pauses` says whether it has autoscalers pause (True) or go on (False)."""

    verb: tuple[str, ...]
    things: tuple[tuple[str, str], ...]
    selectors: tuple[str, ...]
    pauses: bool | None


def check(tree: Tree) -> Iterator[Finding]:
    """Of every page below docs/, command by command."""
    rendered = list(overlays(tree))
    for page in (file for file in tree.files("*.md", below="docs") if "adr" not in file.parts):
        text = page.read_text(encoding="utf-8")
        starts = [0, *(found.start() for found in _SECTION.finditer(text)), len(text)]
        for start, end in pairwise(starts):
            section = text[start:end]
            meant = set(_OVERLAY.findall(section))
            of = [each for each in rendered if each.place in meant] if meant else rendered
            paused: set[str] = set()
            for found in _COMMAND.finditer(section):
                line = text.count("\n", 0, start + found.start()) + 1
                for message in _problems((found[1] or found[2]).replace("\\\n", ""), of, paused):
                    yield Finding(tree.relative(page), line, message)


def _problems(text: str, of: list[Overlay], paused: set[str]) -> Iterator[str]:
    """`paused` are the autoscalers that the section has stopped so far; the command's are added."""
    if not of or (command := _parsed(text)) is None:
        return
    there = {(each["kind"], each["metadata"]["name"]) for overlay in of for each in overlay.manifests}
    for kind, name in command.things:
        if kind not in _MADE_THERE and name and (kind, name) not in there:
            yield f"{text}: no overlay has a {kind} {name}"
    if command.pauses is not None:
        scalers = {name for kind, name in command.things if kind == "ScaledObject"}
        paused.difference_update(scalers)
        paused.update(scalers if command.pauses else ())
    labels = [labels_of(each) for overlay in of for each in overlay.manifests if pod_of(each) is not None]
    for selector in command.selectors:
        if not any(_takes(selector, each) for each in labels):
            yield f"{text}: {selector} selects no pod of an overlay"
    yield from (f"{text}: {message}" for message in sorted(set(_owned(command, of, paused))))


def _owned(command: _Command, of: list[Overlay], paused: set[str]) -> Iterator[str]:
    """A workload that a Rollout has the pods of, and one whose number is an autoscaler's."""
    scales = command.verb[:1] == ("scale",)
    if not scales and command.verb[:1] != ("rollout",):
        return
    for overlay in of:
        rolled = {each["spec"]["workloadRef"]["name"] for each in overlay.of("Rollout")}
        scaled = {
            (each["spec"]["scaleTargetRef"]["kind"], each["spec"]["scaleTargetRef"]["name"]): each["metadata"]["name"]
            for each in overlay.of("ScaledObject")
        }
        for kind, given in command.things:
            for name in [given] if given else [each["metadata"]["name"] for each in overlay.of(kind)]:
                if kind == "Deployment" and name in rolled:
                    yield f"the pods of Deployment {name} are its Rollout's"
                elif scales and scaled.get((kind, name), "") not in {"", *paused}:
                    yield f"the ScaledObject {scaled[kind, name]} scales {kind} {name} back: pause it before"


def _parsed(text: str) -> _Command | None:
    """None of a command that is not for the platform's namespace, or names nothing."""
    words = shlex.split(text.replace("…", ""), comments=True)[1:]
    verb: list[str] = []
    things: list[tuple[str, str]] = []
    selectors: list[str] = []
    namespace, kind, every = "", "", False
    pauses: bool | None = None
    while words:
        word = words.pop(0)
        if word == "--":
            break
        if word.startswith("-"):
            name, _, value = word.partition("=")
            if name in ("-n", "--namespace", "-l", "--selector") and not value and words:
                value = words.pop(0)
            namespace = value if name in ("-n", "--namespace") else namespace
            selectors += [value] if name in ("-l", "--selector") else []
            every = every or name == "--all"
        elif word.startswith(PAUSED):
            pauses = not word.endswith("-")
        elif _is_verb(verb, word):
            verb.append(word)
        elif "/" in word and word.partition("/")[0].lower() in _KINDS:
            things.append((_KINDS[word.partition("/")[0].lower()], word.partition("/")[2]))
        elif not kind and not things and _kind(word):
            kind = _kind(word)
        elif kind and "=" not in word:
            things.append((kind, word))
        elif verb[:2] == ["argo", "rollouts"]:
            things.append(("Rollout", word))
    things += [(kind, "")] if kind and every and not things else []
    ours = namespace == NAMESPACE or verb[:1] == ["argo"]
    return _Command(tuple(verb), tuple(things), tuple(selectors), pauses) if ours else None


def _is_verb(verb: list[str], word: str) -> bool:
    followers = {"rollout": _RUNS, "argo": ("rollouts",)}
    if not verb:
        return True
    if verb == ["argo", "rollouts"]:
        return word in _ROLLOUTS_OWN
    return len(verb) == 1 and word in followers.get(verb[0], ())


def _kind(word: str) -> str:
    lower = word.lower()
    return _KINDS.get(lower) or _KINDS.get(lower.removesuffix("s"), "")


def _takes(selector: str, labels: Mapping[str, str]) -> bool:
    """Whether a selector, of `name=value` and `name in (value, …)`, takes pods with these labels."""
    for part in re.split(r",\s*(?![^(]*\))", selector):
        if found := re.fullmatch(r"\s*(\S+)\s+in\s+\(([^)]*)\)\s*", part):
            name, values = found[1], {value.strip() for value in found[2].split(",")}
        else:
            name, _, value = part.partition("=")
            values = {value.lstrip("=")}
        if labels.get(name) not in values:
            return False
    return True
