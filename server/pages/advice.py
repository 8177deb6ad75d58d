"""What people can do about a document that could not be brought in, by the error's code."""

_AGAIN = "Nothing is wrong with the file. Try again in a while."
_SMALLER = "Divide it into smaller files, and add those."

ADVICE: dict[str, str] = {
    "encrypted_file": "Save it without its password or protection, and add that.",
    "corrupt_file": "Open it in the program that made it, save it anew, and add that.",
    "unsupported_file_type": "Save it as PDF, Office, HTML, text or a picture, and add that.",
    "legacy_format": "Save it in the newer format that the message names, and add that.",
    "file_too_complex": _SMALLER,
    "image_too_large": "Make the picture smaller, and add that.",
    "no_text_found": "Add a file with text in it, or a sharper scan.",
    "empty_file": "There is nothing in it: choose the file that you meant.",
    "unreadable_file": "Save it anew, or in another format, and add that.",
    "invalid_name": "Give the file a shorter name, without special characters, and add it again.",
    "duplicate_name": "Two files have the same name: add them one after the other, or rename one.",
    "file_too_large": _SMALLER,
    "body_too_large": _SMALLER,
    "too_large": _SMALLER,
    "too_many_documents": "Add fewer files at once, or divide the archive.",
    "fetch_failed": "See whether the address opens in a browser, then try again.",
    "url_refused": "Addresses of private networks are not fetched: download the file, and add it.",
    "cancelled": "The job was cancelled. Try again when it is needed.",
    "access_revoked": "Whoever added it may no longer write here. Add it again yourself.",
    "collection_read_only": "Ask the collection's owner for the right to write.",
    "collection_not_found": "The collection was deleted, or is no longer shared with you.",
    "embedding_changed": "Try again once an administrator has moved the collection to the new embedding model.",
    "interrupted": "Reading it ended its worker each time. Save it anew or divide it, and add that.",
    "budget_exceeded": "A budget is spent. Try again when it is renewed, or ask an administrator for a larger one.",
    "rate_limited": "Too much was asked for at once. Try again in a while.",
    "queue_full": "Too much was asked for at once. Try again in a while.",
    "store_unavailable": _AGAIN,
    "files_unavailable": _AGAIN,
    "queue_unavailable": _AGAIN,
    "database_busy": _AGAIN,
    "database_unavailable": _AGAIN,
    "model_unavailable": _AGAIN,
    "provider_failed": _AGAIN,
    "provider_connections_busy": _AGAIN,
    "deadline_exceeded": _AGAIN,
    "starting": _AGAIN,
    "unavailable": _AGAIN,
}
#: Where no more is known.
OTHERWISE = "Try again. If it fails once more, tell an administrator this code."


def advice(code: str | None) -> str:
    """What to do about a code; empty where nothing failed."""
    return ADVICE.get(code, OTHERWISE) if code else ""
