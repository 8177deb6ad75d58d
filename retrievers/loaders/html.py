"""Web pages: headings, paragraphs, lists, code and tables; scripts, styles, navigation and hidden text are left out."""

import re
from collections import Counter
from typing import TYPE_CHECKING

from core.errors import UnreadableFile
from retrievers.base import LoadedDocument
from retrievers.loaders.assembly import Assembly
from retrievers.loaders.encoding import decode
from retrievers.loaders.grid import spread
from retrievers.loaders.headers import marked_rows
from retrievers.loaders.properties import properties

if TYPE_CHECKING:
    from lxml.etree import _Element  # type: ignore[import-untyped]  # lxml ships no types

_DROPPED = frozenset(
    {"script", "style", "template", "noscript", "iframe", "object", "embed", "applet", "svg", "math", "canvas", "audio"}
    | {"video", "map", "nav", "button", "select", "textarea", "dialog", "head"}
)
_BLOCKS = frozenset(
    {
        "address",
        "article",
        "aside",
        "blockquote",
        "body",
        "center",
        "dd",
        "details",
        "div",
        "dl",
        "dt",
        "fieldset",
        "form",
        "hr",
    }
    | {"figcaption", "figure", "footer", "header", "html", "li", "main", "ol", "p", "section", "summary", "ul", "caption"}
    | {"legend", "menu", "table", "thead", "tbody", "tfoot", "tr", "th", "td"}
)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0(?![.\d]*[1-9])", re.IGNORECASE)
_CHARSET = re.compile(rb"charset\s*=\s*[\"']?\s*([\w-]+)", re.IGNORECASE)
_DIGITS = re.compile(r"\s*(\d{1,9})")
_LANGUAGE = re.compile(r"(?:lang(?:uage)?|highlight-source)-([\w+#-]+)")


def load_html(data: bytes, name: str) -> LoadedDocument:
    """What a reader of the page would read, in order.

    Raises:
        UnreadableFile: `file_too_complex` (elements nested more than 2,048 deep, or too much text), `corrupt_file`.
    """
    from lxml import etree  # type: ignore[import-untyped]  # lxml ships no types

    parser = etree.HTMLParser(encoding="utf-8", huge_tree=True, no_network=True, remove_comments=True, remove_pis=True)
    try:
        root = etree.fromstring(_text(data).encode("utf-8", "replace"), parser)
    except etree.XMLSyntaxError as error:
        raise UnreadableFile("The page cannot be read as HTML.", code="corrupt_file") from error
    if any(entry.type_name == "ERR_RESOURCE_LIMIT" for entry in parser.error_log):
        raise UnreadableFile("The page is nested too deep.", code="file_too_complex")
    if root is None:
        return Assembly().document("text/html")
    titles = root.xpath("//head/title//text()")
    page = _Page()
    page.read(root)
    title = "".join(titles) if isinstance(titles, list) else None
    return page.assembly.document("text/html", title=title, attributes=_properties(root))


def _properties(root: "_Element") -> dict[str, str]:
    """What the page's head says of it, in the names of HTML, of Open Graph and of Dublin Core."""
    told: dict[str, str] = {}
    for meta in root.iterfind(".//head/meta"):
        name = (meta.get("name") or meta.get("property") or meta.get("itemprop") or "").strip().lower()
        told.setdefault(name, (meta.get("content") or "").strip())

    def one(*names: str) -> str:
        return next((told[name] for name in names if told.get(name)), "")

    html = root if root.tag == "html" else None
    return properties(
        author=one("author", "dc.creator", "article:author"),
        language=(html.get("lang") if html is not None else "") or one("dc.language"),
        created=one("article:published_time", "datepublished", "date", "dc.date"),
        modified=one("article:modified_time", "datemodified", "last-modified"),
    )


def _text(data: bytes) -> str:
    """UTF-8 and marked encodings are told by the bytes; else the page's own word counts."""
    text = decode(data)
    declared = _CHARSET.search(data[:2048])
    if declared and not data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        try:
            data.decode("utf-8")
        except UnicodeDecodeError:
            try:
                return data.decode(declared[1].decode("ascii"), "replace")
            except LookupError:
                return text
    return text


class _Page:
    """Walks the tree without recursion and adds to an assembly."""

    def __init__(self) -> None:
        self.assembly = Assembly()
        self._inline: list[str] = []
        self._marker = ""

    def read(self, root: "_Element") -> None:
        from lxml.etree import iterwalk

        walk = iterwalk(root, events=("start", "end"))
        for event, element in walk:
            tag = element.tag
            if event == "end":
                self._end(element, str(tag))
            elif tag in _DROPPED or _is_hidden(element):
                walk.skip_subtree()
            elif tag in _HEADINGS:
                self._flush()
                self.assembly.heading(_HEADINGS[str(tag)], "".join(_visible(element)))
                walk.skip_subtree()
            elif tag == "pre":
                self._flush()
                self.assembly.code("".join(_visible(element)), _language(element))
                walk.skip_subtree()
            elif tag == "table" and not _holds_layout(element):
                self._flush()
                rows, heads = _rows(element)
                captions = element.iterchildren("caption")
                caption = " ".join("".join(_visible(one)) for one in captions if not _is_hidden(one))
                self.assembly.table(rows, heads=heads, caption=caption)
                walk.skip_subtree()
            else:
                self._start(element, str(tag))
        self._flush()

    def _start(self, element: "_Element", tag: str) -> None:
        if tag in _BLOCKS:
            self._flush()
        if tag == "li":
            parent = element.getparent()
            self._marker = "- " if parent is None or parent.tag != "ol" else f"{_place(element)}. "
        elif tag == "br":
            self._inline.append("\n")
        elif tag == "img" and (alt := element.get("alt")):
            self._inline.append(f" {alt} ")
        self._inline.append(_collapse(element.text))

    def _end(self, element: "_Element", tag: str) -> None:
        if tag in _BLOCKS:
            self._flush()
        self._inline.append(_collapse(element.tail))

    def _flush(self) -> None:
        lines = (" ".join(line.split()) for line in "".join(self._inline).split("\n"))
        text = "\n".join(line for line in lines if line)
        self._inline.clear()
        if text:
            self.assembly.prose(self._marker + text)
            self._marker = ""


def _collapse(text: str | None) -> str:
    return re.sub(r"\s+", " ", text) if text else ""


def _is_hidden(element: "_Element") -> bool:
    return element.get("hidden") is not None or bool(_HIDDEN.search(element.get("style", "")))


def _visible(element: "_Element") -> "list[str]":
    """The texts within an element in order, those of dropped and hidden ones left out."""
    from lxml.etree import iterwalk

    texts = [element.text or ""]
    walk = iterwalk(element, events=("start", "end"))
    for event, inner in walk:
        if inner is element:
            continue
        if event == "end":
            texts.append(("\n" if inner.tag in _BLOCKS else "") + (inner.tail or ""))
        elif inner.tag in _DROPPED or _is_hidden(inner):
            walk.skip_subtree()
        else:
            texts.append("\n" if inner.tag == "br" else inner.text or "")
    return texts


def _place(item: "_Element") -> int:
    """The number of a list's item, counted as far as is reasonable."""
    number = 1
    for before in item.itersiblings("li", preceding=True):
        number += before.tag == "li"
        if number >= 1000:
            break
    return number


def _language(element: "_Element") -> str | None:
    for holder in (element, element.find("code")):
        if holder is not None and (found := _LANGUAGE.search(holder.get("class", ""))):
            return found[1].lower()
    return None


def _holds_layout(table: "_Element") -> bool:
    """Whether a table arranges a page rather than holds data: other tables, headings or code stand in it."""
    return any(next(table.iterdescendants(tag), None) is not None for tag in ("table", "h1", "h2", "h3", "pre", "ul", "ol"))


def _rows(table: "_Element") -> tuple[list[list[str]], int]:
    """The cells' texts, and how many of the first rows name the columns."""
    rows: list[list[tuple[str, int, int]]] = []
    marked: list[bool] = []
    shown = [row for row in table.iter("tr") if not _is_hidden(row)]
    # a cell ends with its group of rows, however far it says that it reaches
    groups = Counter(row.getparent() for row in shown)
    for row in shown:
        left = groups[row.getparent()]
        groups[row.getparent()] -= 1
        cells = [cell for cell in row if cell.tag in ("td", "th") and not _is_hidden(cell)]
        placed = [
            ("".join(_visible(cell)).strip(), _span(cell, "colspan"), min(_span(cell, "rowspan") or left, left))
            for cell in cells
        ]
        if not cells and not rows:
            continue
        named = cells[1:] if cells and not placed[0][0] else cells
        marked.append(row.getparent().tag == "thead" or (bool(named) and all(cell.tag == "th" for cell in named)))
        rows.append(placed)
    grid = spread(rows)
    return grid, marked_rows(grid, marked)


def _span(cell: "_Element", name: str) -> int:
    """How many columns or rows a cell takes up; 0 rows are all that follow."""
    said = _DIGITS.match(cell.get(name, ""))
    return min(int(said[1]), 65_534) if said else 1
