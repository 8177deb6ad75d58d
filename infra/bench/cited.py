"""Questions to a mixed corpus, and every span that is cited compared with the text that is stored; again after each of the
documents has come in anew with other text before what is asked for."""

import itertools
import re
import time
from pathlib import Path
from typing import Any

import httpx

from infra import samples
from infra.bench.gateway import mock_provider
from infra.running import ROOT, Running, running

COLLECTION = "mixed"
_DOCUMENTS = f"/api/v1/rag/collections/{COLLECTION}/documents"
#: One question of so many is phrased by the bundled chat model, the others by one that answers at once: what is cited is chosen
#: without it where it is small, and checked in the same way behind either.
_BUNDLED_EVERY = 20
_CONFIGURATION = """
[[models]]
alias = "at-once"
[[models.deployments]]
provider = "openai_compatible:mock"
model = "mock"
[providers."openai_compatible:mock"]
base_url = "{provider}/v1"
api_key = "none"
"""
_QUESTION = re.compile(r"^#{2,4} (.+\?)\s*$", re.MULTILINE)
#: Characters that take one, two, three and four bytes, one that is two characters, and what is not at home in Latin letters.
_STRANGE = (
    "Die Förderhöhe der Pumpe „Ägir“ beträgt 42 Meter 🌊 über Normalnull.",
    "Le débit nominal de la station Éole est de 310 mètres cubes par heure.",
    "The cafe\u0301 on pier nine opens at 06:30, ☕ included, and closes at noon.",
    "潮汐站的水位计每十五分钟记录一次。 The tide gauge records every fifteen minutes.",
)
_STRANGE_QUESTIONS = (
    "Welche Förderhöhe hat die Pumpe Ägir?",
    "Quel est le débit nominal de la station Éole?",
    "When does the café on pier nine open?",
    "How often does the tide gauge record?",
)


def cited(place: Path, *, questions: int) -> dict[str, float]:
    """Ask so many questions, twice. How many spans were cited, and how many answers cited any.

    Raises:
        AssertionError: a cited span is not what is stored there, or hardly any answer cites.
    """
    with mock_provider() as provider:
        configuration = place / "genai.toml"
        place.mkdir(parents=True, exist_ok=True)
        configuration.write_text(_CONFIGURATION.format(provider=provider))
        settings = {"GENAI_CONFIG": str(configuration), "GENAI_HANDBOOK": "false"}
        with running(place / "platform", **settings) as platform, platform.client(timeout_s=300) as client:
            files, asked = corpus()
            client.post("/api/v1/rag/collections", json={"name": COLLECTION}).raise_for_status()
            started, figures = time.perf_counter(), {"questions": 0.0, "answers": 0.0, "spans": 0.0}
            for again in (False, True):
                _bring(platform, client, {name: moved(name, data) if again else data for name, data in files.items()})
                for kind, number in _asked(client, asked[:questions]).items():
                    figures[kind] += number
    assert figures["answers"] >= figures["questions"] / 4, figures
    return figures | {"seconds": time.perf_counter() - started}


def corpus() -> tuple[dict[str, bytes], list[str]]:
    """Files of many kinds, and what they answer: the platform's own pages, the same in other formats, and what is hard to
    count characters in."""
    files = dict(samples.one_of_each())
    asked = [*_STRANGE_QUESTIONS, *(question for question, _ in samples.FACTS)]
    files["strange.md"] = "\r\n\r\n".join(("# Strange", *_STRANGE)).encode()
    files["strange.docx"] = samples.docx("Strange", _STRANGE)
    files["strange.html"] = samples.html("Strange &amp; rare", _STRANGE)
    files["strange-latin.txt"] = (
        "\n\n".join(_STRANGE[:2]).replace("🌊 ", "").replace("„", '"').replace("“", '"').encode("latin-1")
    )
    for page, kind in zip(sorted((ROOT / "docs").glob("*.md")), itertools.cycle(("md", "html", "docx", "pdf")), strict=False):
        text = page.read_text(encoding="utf-8")
        found = _QUESTION.findall(text)
        if not found:
            continue
        asked += found
        files[f"{page.stem}.{kind}"] = _as(kind, page.stem, text)
    return files, asked


def _as(kind: str, title: str, text: str) -> bytes:
    """A page in another format."""
    paragraphs = [one.strip() for one in text.split("\n\n") if one.strip()]
    escaped = [one.replace("&", "&amp;").replace("<", "&lt;") for one in paragraphs]
    match kind:
        case "html":
            return samples.html(title, escaped)
        case "docx":
            return samples.docx(title, paragraphs)
        case "pdf":
            return samples.pdf(escaped)
    return text.encode()


def moved(name: str, data: bytes) -> bytes:
    """The same with something before it, where that is easily put there; as it was, where it is not."""
    if name.endswith((".md", ".txt")):
        return "Ein Wort zuvor: ".encode("latin-1") + data if "latin" in name else "Ein Wort zuvor – 🌊.\n\n".encode() + data
    return data.replace(b"<body>", "<body><p>Ein Wort zuvor – 🌊.</p>".encode()) if name.endswith(".html") else data


def _bring(platform: Running, client: httpx.Client, files: dict[str, bytes]) -> None:
    names = sorted(files)
    for first in range(0, len(names), 20):
        job = platform.ingest(client, COLLECTION, {name: files[name] for name in names[first : first + 20]}, create=False)
        assert (job["state"], job["errors"]) == ("succeeded", []), job


def _asked(client: httpx.Client, questions: list[str]) -> dict[str, int]:
    texts: dict[str, str] = {}
    answers = spans = 0
    for number, question in enumerate(questions):
        body: dict[str, Any] = {"question": question, "collection": COLLECTION, "max_tokens": 60}
        if number % _BUNDLED_EVERY:
            body["model"] = "at-once"
        answer = client.post("/api/v1/rag", json=body).raise_for_status().json()
        answers += bool(answer["citations"])
        for one in answer["citations"]:
            if (document := one["document_id"]) not in texts:
                texts[document] = client.get(f"{_DOCUMENTS}/{document}/text").raise_for_status().text
            stored = texts[document][one["start"] : one["end"]]
            assert stored == one["quote"] != "", f"{question}: {one['document']} has {stored!r}, cited is {one['quote']!r}"
            spans += 1
    return {"questions": len(questions), "answers": answers, "spans": spans}
