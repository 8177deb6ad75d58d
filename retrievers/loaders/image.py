"""Images: their text is what OCR reads from them, so there is none yet when they are loaded."""

from retrievers.base import LoadedDocument
from retrievers.sniffing import sniff


def load_image(data: bytes, name: str) -> LoadedDocument:
    """An empty document whose one picture is still to be read (`retrievers.parsing` does)."""
    return LoadedDocument("", sniff(data, name), unread_pages=(1,))
