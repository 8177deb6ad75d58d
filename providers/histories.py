"""What a conversation must be for the APIs that take less of it than OpenAI's."""

from collections.abc import Sequence

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from core.errors import UnsupportedFeature

#: A turn that says nothing; Bedrock's package takes the same.
_NOTHING = "."
#: Formats of images that Claude reads, on every cloud. docs.anthropic.com/en/docs/build-with-claude/vision, November 2026.
CLAUDES_IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})


def with_a_turn(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """The messages; a turn that says nothing is added where there are instructions alone, and stands for one without any text.
    Gemini and Claude refuse both."""
    told = [_said(message) for message in messages]
    if all(isinstance(message, SystemMessage) for message in told):
        told.append(HumanMessage(_NOTHING))
    return told


def _said(message: BaseMessage) -> BaseMessage:
    silent = isinstance(message, HumanMessage | AIMessage) and not (
        message.content if not isinstance(message.content, str) else message.content.strip()
    )
    if not silent or getattr(message, "tool_calls", None):
        return message
    return message.model_copy(update={"content": _NOTHING})


def images_of(messages: Sequence[BaseMessage], formats: frozenset[str]) -> None:
    """Refuse images, as data URLs, of other formats than these.

    Raises:
        UnsupportedFeature: there is one; another deployment may read it.
    """
    for message in messages:
        for block in message.content if isinstance(message.content, list) else ():
            image = block.get("image_url", "") if isinstance(block, dict) else ""
            address = str(image.get("url", "") if isinstance(image, dict) else image)
            if address.startswith("data:") and address[5:].split(";", 1)[0].lower() not in formats:
                raise UnsupportedFeature("The model reads no images of this format.", param="messages")
