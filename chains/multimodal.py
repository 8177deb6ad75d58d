"""The `multimodal` capability: a text with images and documents in, an answer out.

A model that sees is given the pictures. One that does not is given the text that OCR reads from them, and the answer says so
(`vision`); so is whichever model is left where all of an alias that see are down. Where a model that does not see is asked
about pictures without any text, the request is refused with `no_text_found`: any answer would be invented.
"""

import asyncio
import base64
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import Annotated, Any, Literal, cast

import structlog
from langchain_core.messages import AIMessageChunk, BaseMessage, HumanMessage, SystemMessage
from pydantic import BaseModel, Field, StringConstraints, model_validator
from pydantic.config import JsonDict

from chains.attachments import Attachment, Content, Way, as_seen, as_text, attachments, defused
from chains.excerpts import asks_for_text, excerpt, may_tell, rests_on, shortened, telling_places
from chains.forms import Accounted
from chains.parameters import Sampling, Strict, bind
from chains.prompting import DIVIDER, prompt
from chains.protection.protection import Found
from chains.root import OpaqueRoot, opaque
from chains.spec import ChainDeps, ChainSpec, Delta
from chains.unseen import spared
from core.errors import UnreadableFile
from core.principals import Scope
from core.settings import Settings
from providers.base import ModelFacts
from retrievers.seams import last_seam

log = structlog.get_logger()

SMALL, TEXT, VISION = "multimodal_small.txt", "multimodal_text.txt", "multimodal_vision.txt"
MAX_IMAGES = 10
MAX_DOCUMENTS = 5

_READ_AT_ONCE = 2
_SHOWN_CHARACTERS = 10_000
_ANSWER_TOKENS = 1024
_UNKNOWN_CONTEXT_TOKENS = 32_000
#: A small model reads 280 tokens a second and follows little of a long prompt.
_SMALL_PROMPT_TOKENS = 900
#: What is read out of each attachment at most; all of it is in the answer's `read`.
_READ_CHARACTERS = 8000
_SMALL_ANSWER_TOKENS = 96
_FILE_PICKER: JsonDict = {"extra": {"widget": {"type": "base64file"}}}

#: A picture with two lines of text: "Open 9 to 17", "Closed Monday".
_EXAMPLE_PICTURE = (
    "iVBORw0KGgoAAAANSUhEUgAAAL4AAABAAQAAAACMl/BZAAABn0lEQVR42uWTzWrUYBSGnyTjNAvBgC6yatMbkCxbkE4WLrwJaS+gUAsuFCJ+gotZdDFXoF"
    "mJ16Cb6Q1IFoLLDqXQQAumzYCZkOS4mGQmkWTXjfSsPng4Py/v+2lCZxU6PXUPwMIDYCwKLk6tNfg9AZBbgGA0XYPIBigVwISwuWNbtp5jlIHJAc5qiXxO"
    "Nt/+2M3z0j+WREayrHx5lW0AjEG81qhvlgcURpcO3Wd9wwoUFtpJl3IjhXRpdQO4c0gptI6Osxcx+BgFZA1gR2UZoWdM37RaJB1t55u+bMjWhiSXUgtEZK"
    "W2WfkdOqjdg1CLanoX/JtdcC7aHVeT6hnP2uDa7l0u1nnhjXGsm3fjG0zPW4KQ7Of3P/tzUn4F12fvD6kAtmbpygWmphqC2gdgAGRD7fWDj+CE7ssvH1oC"
    "I4Dql01Qa7C7cCBXAKKe1qMi2DmK6zPLV1TABYbEFuYOACqrd5jDLLDOfQrcEFcxr8CTmcTkIUCqgFivs7u39+g0HQ3kWRL7i9mnx4mISN6Rq/nDnlwN+h"
    "yM+8DX/zG7fwFpQ8CUbusNYwAAAABJRU5ErkJggg=="
)


class DocumentInput(Strict):
    """A document that comes with the request."""

    name: str | None = Field(None, max_length=1000, description="its file name; tells apart the flavours of text")
    data: str = Field(description="the file in base64, or a data: URL")

    @model_validator(mode="before")
    @classmethod
    def _data_alone(cls, given: Any) -> Any:
        """A file may be given as images are, without a name."""
        return {"data": given} if isinstance(given, str) else given


class MultimodalInput(Sampling):
    """A question or task, and the files that it is about."""

    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100_000)] = Field(
        description="what to do with the files, or what to tell about them"
    )
    images: list[str] = Field(
        default_factory=list,
        max_length=MAX_IMAGES,
        description="PNG, JPEG, WebP or GIF, each in base64 or as a data: URL; a PDF is taken, too",
        json_schema_extra=_FILE_PICKER,
    )
    documents: list[DocumentInput] = Field(
        default_factory=list,
        max_length=MAX_DOCUMENTS,
        description="PDF, Word, HTML, Markdown, text, CSV, JSON or source code",
        json_schema_extra=_FILE_PICKER,
    )

    @model_validator(mode="after")
    def _something_to_look_at(self) -> "MultimodalInput":
        if not self.images and not self.documents:
            raise ValueError("give at least one image or document")
        return self


class ReadFile(BaseModel):
    """What was read from a file as text."""

    name: str
    text: str = Field(description="the text, at most its first 10,000 characters")
    characters: int
    pages: int | None = None


class MultimodalOutput(BaseModel):
    """The capability's own fields of the answer."""

    output: str
    vision: Literal["native", "ocr"] = Field(description="native: the model saw the pictures; ocr: it was given their text")
    read: list[ReadFile] = Field(default_factory=list, description="the text that the model was given, file by file")


class MultimodalAnswer(MultimodalOutput, Accounted):
    """An answer, and what it took."""


async def look(deps: ChainDeps, asked: MultimodalInput) -> AsyncIterator[Delta]:
    """Read the files as the model needs them, and answer."""
    given = await asyncio.to_thread(
        attachments, asked.images, [(document.name, document.data) for document in asked.documents], deps.settings.limits
    )
    facts = deps.models.facts(asked.model, images=True)
    if facts.images:
        contents = await _read(given, as_seen, deps.settings)
        pictured = any(content.pictures for content in contents)
        readable = pictured and not deps.models.facts(asked.model, images=False).images
        unseen = partial(_read_out, deps, asked, given) if readable else None
        answer = spared(_told(deps, asked, facts, contents), unseen, event="multimodal.unseen")
    else:
        answer = _read_out(deps, asked, given)
    async with aclosing(answer) as deltas:
        async for delta in deltas:
            yield delta


async def _read_out(deps: ChainDeps, asked: MultimodalInput, given: Sequence[Attachment]) -> AsyncGenerator[Delta]:
    """The answer of a model that is given text alone."""
    contents = await _read(given, as_text, deps.settings)
    facts = replace(deps.models.facts(asked.model, images=False), images=False)
    async with aclosing(_told(deps, asked, facts, contents)) as deltas:
        async for delta in deltas:
            yield delta


async def _told(
    deps: ChainDeps, asked: MultimodalInput, facts: ModelFacts, contents: Sequence[Content]
) -> AsyncGenerator[Delta]:
    """The answer from what was read; nothing is told before the model begins to speak."""
    vision: Literal["native", "ocr"] = "native" if facts.images else "ocr"
    if not any(content.text or content.pictures for content in contents):
        raise UnreadableFile(
            "The model does not see pictures, and no text was found in what you sent.", code="no_text_found", param="images"
        )
    await Found(deps, asked.model).files([content.text for content in contents if content.text])
    told = [
        ReadFile(
            name=content.name,
            text=content.text[: last_seam(content.text, 0, _SHOWN_CHARACTERS) or _SHOWN_CHARACTERS],
            characters=len(content.text),
            pages=content.pages,
        )
        for content in contents
        if not content.pictures
    ]
    output = ""
    blind = facts.small and not facts.images
    async for piece in _answer_small(deps, asked, contents) if blind else _answer(deps, asked, facts, contents):
        if not output:
            yield Delta(data={"vision": vision, "read": told})
        output += piece
        yield Delta(text=piece)
    yield Delta(final=MultimodalOutput(output=output, vision=vision, read=told))


async def _read(given: Sequence[Attachment], way: Way, settings: Settings) -> list[Content]:
    """All attachments, some at once. The first that cannot be read ends the reading of the others."""
    slots = asyncio.Semaphore(_READ_AT_ONCE)

    async def read(attachment: Attachment) -> Content:
        async with slots:
            return await way(attachment, settings=settings)

    tasks = [asyncio.create_task(read(attachment)) for attachment in given]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()


async def _answer(
    deps: ChainDeps, asked: MultimodalInput, facts: ModelFacts, contents: Sequence[Content]
) -> AsyncIterator[str]:
    room = (facts.context_tokens or _UNKNOWN_CONTEXT_TOKENS) - (asked.max_tokens or _ANSWER_TOKENS)
    texts = await asyncio.to_thread(_fitting, deps, asked, contents, int(room * 0.8))
    messages = _messages(VISION if facts.images else TEXT, asked.text, contents, texts)
    async for chunk in bind(deps.models.chat(asked.model), asked).astream(messages):
        if piece := cast("AIMessageChunk", chunk).text:
            yield piece


async def _answer_small(deps: ChainDeps, asked: MultimodalInput, contents: Sequence[Content]) -> AsyncIterator[str]:
    """What a small model says is held against the text before it is sent; what does not rest on it is replaced by the lines
    of the text that fit the question best."""
    several = sum(bool(content.text) for content in contents) > 1
    if asks_for_text(asked.text):
        read = [(content.name, content.text[:_READ_CHARACTERS].splitlines()) for content in contents if content.text]
        yield "\n\n".join(_quoted(name if several else "", filter(str.strip, lines)) for name, lines in read)
        return
    texts = await asyncio.to_thread(_fitting, deps, asked, contents, _SMALL_PROMPT_TOKENS)
    system, user = _parts(SMALL, "\n\n".join(filter(None, texts)), asked.text)
    defaults = {"temperature": 0.0, "max_tokens": _SMALL_ANSWER_TOKENS}
    model = bind(deps.models.chat(asked.model), asked, defaults)
    reply = await model.ainvoke([SystemMessage(system), HumanMessage(user)])
    answer = reply.text.strip()
    ran_on = asked.max_tokens is None and reply.response_metadata.get("finish_reason") == "length"
    if not ran_on and rests_on(answer, texts, asked.text):
        bearing = [content.name for content, text in zip(contents, texts, strict=True) if rests_on(answer, [text], asked.text)]
        yield f"{answer} ({bearing[0]})" if several and len(bearing) == 1 else answer
    else:
        places = telling_places(texts, asked.text, 6)
        if not may_tell(texts, [line for _, line in places], asked.text):
            yield "The text that was read does not seem to tell that.\n\n"
        found = groupby(places, key=lambda place: contents[place[0]].name)
        yield "\n\n".join(
            _quoted(name if several else "", (shortened(line, asked.text) for _, line in lines)) for name, lines in found
        )


def _quoted(name: str, lines: Iterable[str]) -> str:
    """Lines as they were read, from an attachment of that name where there are several."""
    return f"The text that was read{name and f' from {name}'} says:\n" + "\n".join(f"> {line}" for line in lines)


def _fitting(deps: ChainDeps, asked: MultimodalInput, contents: Sequence[Content], max_tokens: int) -> list[str]:
    """The texts, each cut to its share where together they are longer than `max_tokens`. Blocking."""
    together = "\n".join(content.text for content in contents)
    tokens = deps.models.count_tokens(together[: 20 * max_tokens], asked.model)
    if tokens <= max_tokens and len(together) <= 20 * max_tokens:
        return [content.text for content in contents]
    characters = int(max_tokens * len(together[: 20 * max_tokens]) / max(tokens, 1))
    share = characters // max(1, sum(bool(content.text) for content in contents))
    return [excerpt(content.text, asked.text, share) for content in contents]


def _messages(name: str, question: str, contents: Sequence[Content], texts: Sequence[str]) -> list[BaseMessage]:
    marked = "\n\n".join(
        f'<attachment name="{content.name}">\n{defused(text) or "(no text was found in it)"}\n</attachment>'
        for content, text in zip(contents, texts, strict=True)
        if text or not content.pictures
    )
    system, user = _parts(name, marked, question)
    pictures = [picture for content in contents for picture in content.pictures]
    if not pictures:
        return [SystemMessage(system), HumanMessage(user)]
    blocks: list[str | dict[str, Any]] = [{"type": "text", "text": user}]
    for media_type, data in pictures:
        url = f"data:{media_type};base64,{base64.b64encode(data).decode('ascii')}"
        blocks.append({"type": "image_url", "image_url": {"url": url}})
    return [SystemMessage(system), HumanMessage(blocks)]


def _parts(name: str, attached: str, question: str) -> tuple[str, str]:
    system, _, user = prompt(name).substitute(attachments=attached, question=question).partition(DIVIDER)
    return system, user.strip()


def build(deps: ChainDeps) -> OpaqueRoot:
    """The served runnable."""
    return opaque("multimodal", partial(look, deps), deps=deps, input_type=MultimodalInput, output_type=MultimodalAnswer)


SPEC = ChainSpec(
    name="multimodal",
    title="Images and documents",
    description="A text with images, PDFs and other files in, an answer out.",
    input=MultimodalInput,
    output=MultimodalAnswer,
    answer=MultimodalOutput,
    scope=Scope.MULTIMODAL_INVOKE,
    build=build,
    prompts=(SMALL, TEXT, VISION),
    example={"text": "When is it open?", "images": [_EXAMPLE_PICTURE]},
)
