"""What a file is, found from its content. A name may only choose among the flavours of text."""

import re
from pathlib import PurePosixPath

from core.errors import UnreadableFile
from retrievers.flavours import is_json, is_mail, is_markdown, is_table
from retrievers.loaders.encoding import decode, looks_like_text
from retrievers.packages import MAIL, sniff_package, unsupported

SOURCE = "text/x-source"

_HEAD = 64 * 1024

#: The first tags by which a browser takes text for HTML (mimesniff.spec.whatwg.org, rules for an unknown type).
_HTML = re.compile(r"<(!doctype html|html|head|script|iframe|h1|div|font|table|a|style|title|b|body|br|p)[\s/>]", re.IGNORECASE)
_HTML_ROOT = re.compile(r"<(!doctype html|html)[\s>]", re.IGNORECASE)
_XML = re.compile(r"\s*<(\?xml|!DOCTYPE|svg|rss|feed)[\s>]", re.IGNORECASE)
_PDF_LINE, _PDF_OBJECT = re.compile(rb"^%PDF-\d", re.M), re.compile(rb"^\d+ \d+ obj\b", re.M)
_BLANK = re.compile(r"\s*")
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
_SHEBANG = re.compile(r"#!\s*\S*?(?:env\s+(?:-S\s+)?)?([a-z]+)[\d.]*(?:\s|$)")

_MARKDOWN_NAMES = frozenset({".md", ".markdown", ".mdown", ".mkd", ".mdx", ".qmd"})
_JSON_NAMES = frozenset({".json", ".jsonl", ".ndjson", ".geojson", ".ipynb", ".har", ".webmanifest"})
_TABLE_NAMES = frozenset({".csv", ".tsv", ".tab"})
_HTML_NAMES = frozenset({".html", ".htm", ".xhtml"})
_MAIL_NAMES = frozenset({".eml", ".mht", ".mhtml"})
#: Extension → language, as tree-sitter names it.
_LANGUAGES = {
    ".py": "python", ".pyi": "python", ".js": "javascript", ".mjs": "javascript", ".cjs": "javascript", ".jsx": "javascript",
    ".ts": "typescript", ".tsx": "tsx", ".java": "java", ".kt": "kotlin", ".kts": "kotlin", ".scala": "scala", ".go": "go",
    ".rs": "rust", ".c": "c", ".h": "c", ".cc": "cpp", ".cpp": "cpp", ".cxx": "cpp", ".hpp": "cpp", ".hh": "cpp",
    ".cs": "csharp", ".rb": "ruby", ".php": "php", ".swift": "swift", ".m": "objc", ".pl": "perl", ".pm": "perl",
    ".lua": "lua", ".r": "r", ".jl": "julia", ".hs": "haskell", ".ex": "elixir", ".exs": "elixir", ".erl": "erlang",
    ".clj": "clojure", ".ml": "ocaml", ".dart": "dart", ".zig": "zig", ".nim": "nim", ".sol": "solidity", ".sql": "sql",
    ".sh": "bash", ".bash": "bash", ".zsh": "bash", ".ps1": "powershell", ".bat": "batch", ".tf": "hcl", ".hcl": "hcl",
    ".proto": "proto", ".graphql": "graphql", ".vue": "vue", ".svelte": "svelte", ".css": "css", ".scss": "scss",
    ".less": "css", ".yaml": "yaml", ".yml": "yaml", ".toml": "toml", ".ini": "ini", ".cfg": "ini", ".conf": "ini",
    ".properties": "properties", ".xml": "xml", ".xsd": "xml", ".xsl": "xml", ".svg": "xml", ".tex": "latex",
    ".gradle": "groovy", ".groovy": "groovy", ".cmake": "cmake", ".mk": "make", ".j2": "jinja", ".jinja": "jinja",
    ".asm": "asm", ".s": "asm", ".f90": "fortran", ".vb": "vb", ".pas": "pascal", ".diff": "diff", ".patch": "diff",
}  # fmt: skip
#: Those that names of files end with, of what is read.
EXTENSIONS = frozenset(
    {".txt", ".text", ".log", ".rst", ".adoc", ".org", ".pdf", ".docx", ".png", ".jpg", ".jpeg", ".webp", ".gif"}
    | {".pptx", ".xlsx", ".xlsm", ".epub", ".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz"}
    | {*_MARKDOWN_NAMES, *_JSON_NAMES, *_TABLE_NAMES, *_HTML_NAMES, *_MAIL_NAMES, *_LANGUAGES}
)
_NAMED_SOURCES = {"dockerfile": "dockerfile", "containerfile": "dockerfile", "makefile": "make", "cmakelists.txt": "cmake"}
_INTERPRETERS = {"python": "python", "bash": "bash", "sh": "bash", "zsh": "bash", "node": "javascript", "ruby": "ruby",
                 "perl": "perl", "php": "php", "lua": "lua"}  # fmt: skip


def sniff(data: bytes, name: str) -> str:
    """The media type under which `retrievers.LOADERS` has a loader. `data` is the whole file; `name` may be empty.

    Raises:
        UnreadableFile: `empty_file`, `encrypted_file` (an Office file or an archive with a password), `file_too_complex` (an
            archive of too many entries), `corrupt_file`, `legacy_format`, or `unsupported_file_type`.
    """
    if not data:
        raise UnreadableFile("The file is empty.", code="empty_file")
    head = data[:_HEAD]
    if package := sniff_package(data):  # before PDF, which may be the first member
        return package
    if is_pdf(head):
        return "application/pdf"
    if image := sniff_image(head):
        return image
    if head.startswith(b"{\\rtf"):
        raise unsupported("RTF; save it as .docx")
    if head.startswith(b"%!PS"):
        raise unsupported("PostScript; convert it to PDF")
    if not looks_like_text(head):
        raise unsupported(_name_of_binary(head, name))
    return _sniff_text(data, name)


def is_pdf(head: bytes) -> bool:
    """Whether a file that begins so is a PDF. The mark may stand in the first 1,024 bytes, where a text may speak of it."""
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"%PDF-"):
        return True
    if b"%PDF-" not in head[:1024]:
        return False
    return not looks_like_text(head[:_HEAD]) or bool(_PDF_LINE.search(head[:1024]) and _PDF_OBJECT.search(head[:_HEAD]))


def sniff_image(head: bytes) -> str | None:
    """The media type of an image in one of the formats that are read (PNG, JPEG, WebP, GIF), None otherwise."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head[:6] in (b"GIF87a", b"GIF89a"):
        return "image/gif"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    return None


def language_of(name: str, text: str = "") -> str | None:
    """The programming or markup language that a name's extension, or else a first line `#!…`, tells; None if neither does."""
    path = PurePosixPath(name.lower().replace("\\", "/"))
    if known := _NAMED_SOURCES.get(path.name) or _LANGUAGES.get(path.suffix):
        return known
    if not path.suffix and (shebang := _SHEBANG.match(text[:200])):
        return _INTERPRETERS.get(shebang[1])
    return "xml" if _XML.match(text[:1000]) else None


def _sniff_text(data: bytes, name: str) -> str:
    text = decode(data[:_HEAD], cut=len(data) > _HEAD)
    suffix = PurePosixPath(name.lower()).suffix
    if is_mail(text, named=suffix in _MAIL_NAMES):
        return MAIL
    language = language_of(name, text)
    if language is not None and language != "xml":
        return SOURCE
    if is_json(data, text):
        return "application/json"
    if suffix not in _MARKDOWN_NAMES and (_is_html(text) or (suffix in _HTML_NAMES and _TAG.search(text))):
        return "text/html"
    if language == "xml":
        return SOURCE
    if is_table(text, named=suffix in _TABLE_NAMES):
        return "text/csv"
    if suffix in _JSON_NAMES and text.lstrip("\ufeff \t\r\n")[:1] in tuple('{["-0123456789tfn'):
        return "application/json"  # perhaps too large to be read to its end here, or cut off
    return "text/markdown" if suffix in _MARKDOWN_NAMES or is_markdown(text) else "text/plain"


def _is_html(text: str) -> bool:
    start = 0
    while True:
        start = _BLANK.match(text, start).end()  # type: ignore[union-attr]  # it matches the empty string
        if not text.startswith("<!--", start):
            break
        end = text.find("-->", start)
        if end < 0:
            return False
        start = end + 3
    if text.startswith("<?xml", start):
        return bool(_HTML_ROOT.search(text, start, start + 1000))
    return bool(_HTML.match(text, start))


def _name_of_binary(head: bytes, name: str) -> str:
    import puremagic

    try:
        found = puremagic.magic_string(head, filename=name or None)
    except (puremagic.PureError, ValueError):
        return "binary data"
    return found[0].name if found and found[0].confidence >= 0.3 else "binary data"
