import io
import zipfile

import pytest

from core.errors import UnreadableFile
from retrievers.loaders.epub import load_epub
from tests.retrievers import making

CHAPTERS = {
    "The storm": "<p>It blew from the north.</p>",
    "The calm": "<h1>Calm</h1><p>Nothing moved.</p><h2>At night</h2><p>Stars.</p>",
    "The end": "<p>Home.</p>",
}


def test_chapters_come_in_the_order_of_the_spine_under_their_headings_or_names() -> None:
    document = load_epub(making.epub(CHAPTERS, title="Voyages", order=["The calm", "The storm", "The end"]), "")
    assert [(s.heading, document.text[s.start : s.end]) for s in document.sections] == [
        (("Calm",), "Calm\n\nNothing moved."),
        (("Calm", "At night"), "At night\n\nStars."),
        (("The storm",), "The storm\n\nIt blew from the north."),
        (("The end",), "The end\n\nHome."),
    ]
    assert (document.title, document.pages, document.attributes) == ("Voyages", None, {"author": "Ada"})


def test_a_book_that_its_shop_protects_is_refused() -> None:
    with pytest.raises(UnreadableFile) as caught:
        load_epub(making.epub(CHAPTERS, encrypted=True), "")
    assert caught.value.code == "encrypted_file"


def test_entities_are_not_expanded_and_a_missing_part_is_told() -> None:
    container = "META-INF/container.xml"
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><container>&b;</container>'
    for members in ({container: bomb}, {container: "<container/>"}, {"mimetype": "application/epub+zip"}):
        with pytest.raises(UnreadableFile) as caught:
            load_epub(making.zipped(members), "")
        assert caught.value.code == "corrupt_file"


def test_a_chapter_that_points_out_of_the_book_is_not_there() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(making.epub({"One": "<p>inside</p>"}))) as good, zipfile.ZipFile(out, "w") as bad:
        for name in good.namelist():
            content = good.read(name)
            bad.writestr(name, content.replace(b"chapter%200.xhtml", b"../../../../etc/passwd"))
    assert load_epub(out.getvalue(), "").text == ""
