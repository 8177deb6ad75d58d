from email.message import EmailMessage

import pytest

from core.errors import UnreadableFile
from core.settings import Settings
from retrievers.loaders.mail import load_mail
from retrievers.parsing import parse
from tests.retrievers import making


def test_headers_are_read_and_are_attributes() -> None:
    document = load_mail(making.mail("The quay is closed."), "")
    assert document.text == (
        "The harbour\n\nFrom: Ada Lovelace <ada@example.org>\nTo: Grace Hopper <grace@example.org>\n"
        "Date: Tue, 03 Mar 2026 09:30:00 +0100\n\nThe quay is closed."
    )
    assert document.attributes == {
        "from": "Ada Lovelace <ada@example.org>",
        "to": "Grace Hopper <grace@example.org>",
        "subject": "The harbour",
        "date": "2026-03-03T09:30:00+01:00",
    }
    assert (document.title, document.pages) == ("The harbour", 1)


def test_the_plain_form_is_read_where_it_says_anything_and_else_the_rich_one() -> None:
    assert load_mail(making.mail("plain words", html="<p>rich words</p>"), "").text.endswith("plain words")
    assert load_mail(making.mail(" \n", html="<h1>Head</h1><p>rich words</p>"), "").text.endswith("Head\n\nrich words")
    assert load_mail(making.mail("", html="<p>rich words</p>"), "").text.endswith("rich words")


def test_what_is_attached_is_read_on_pages_of_its_own_under_its_name() -> None:
    files = {
        "fees.xlsx": making.xlsx({"Fees": [["Ship", "Euros"], ["Yawl", 12]], "More": [["later"]]}),
        "plan.pdf": making.pdf([["First page."], ["Second page."]]),
        "more.zip": making.zipped({"in/notes.txt": "Puffins.", "in/bad.doc": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)}),
    }
    document = load_mail(making.mail("See the files.", attached=files), "")
    assert "Attachments: fees.xlsx, plan.pdf, more.zip" in document.text
    found = {(s.page, s.heading, document.text[s.start : s.end]) for s in document.sections}
    assert (2, ("fees.xlsx", "Fees"), "fees.xlsx\n\nFees\n\nShip: Yawl | Euros: 12") in found
    assert (3, ("fees.xlsx", "More"), "More\n\nlater") in found
    assert (4, ("plan.pdf",), "plan.pdf\n\nFirst page.") in found
    assert (5, ("plan.pdf",), "Second page.") in found
    assert (6, ("more.zip/in/notes.txt",), "more.zip/in/notes.txt\n\nPuffins.") in found
    assert any(page == 7 and "Not read: This is a file in the format" in text for page, _, text in found)
    assert document.pages == 7


def test_a_mail_that_was_passed_on_is_read_with_what_is_attached_to_it() -> None:
    inner = making.mail("The inner words.", attached={"a.txt": b"deepest"}, subject="Inner")
    message = EmailMessage()
    message["From"], message["Subject"], message["Date"] = "b@example.org", "Fwd: Inner", "Tue, 03 Mar 2026 09:30:00 +0100"
    message.set_content("See below.")
    from email import message_from_bytes, policy

    message.add_attachment(message_from_bytes(inner, policy=policy.default))
    document = load_mail(message.as_bytes(), "")
    found = [(s.page, s.heading[:1], document.text[s.start : s.end]) for s in document.sections]
    assert any(page == 2 and heading == ("Inner.eml",) and "The inner words." in text for page, heading, text in found)
    assert any(page == 3 and "deepest" in text for page, _, text in found)


async def test_pictures_that_are_attached_are_read_by_ocr_on_their_page(settings: Settings) -> None:
    files = {"a.txt": b"words", "scan.png": making.picture(["Invoice 4711"]), "scan.pdf": making.scanned_pdf(["Berth 88"])}
    document = await parse(making.mail("See the scans.", attached=files), "m.eml", settings=settings)
    pages = {s.page: document.text[s.start : s.end] for s in document.sections}
    assert "4711" in pages[3]
    assert "88" in pages[4]
    assert document.unread_pages == ()


def test_small_pictures_within_the_message_are_decoration() -> None:
    message = EmailMessage()
    message["From"], message["Subject"] = "a@example.org", "Logo"
    message.set_content("<p>words</p><img src='cid:1'>", subtype="html")
    message.add_related(making.picture([], size=(20, 20)), "image", "png", cid="<1>")
    document = load_mail(message.as_bytes(), "")
    assert (document.pages, document.unread_pages) == (1, ())


def test_a_file_in_a_form_that_is_not_taken_is_read_all_the_same() -> None:
    message = EmailMessage()
    message["From"], message["Subject"] = "a@example.org", "Mixed"
    message.set_content("plain words")
    message.add_alternative("<p>rich</p>", subtype="html")
    rich = message.get_payload(1)
    rich.make_mixed()  # type: ignore[union-attr]
    rich.add_attachment(b"attached words", "text", "x-notes", filename="n.txt")  # type: ignore[union-attr]
    text = load_mail(message.as_bytes(), "").text
    assert "plain words" in text
    assert "attached words" in text
    assert "rich" not in text


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"From: a\nContent-Type: application/pkcs7-mime; smime-type=enveloped-data\n\nx", "encrypted_file"),
        (b"From: a\nContent-Type: multipart/encrypted; boundary=b\n\n--b\n\nx\n--b--\n", "encrypted_file"),
        (b"From: a\nContent-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * 1100 + b"--b--\n", "file_too_complex"),
    ],
    ids=["smime", "pgp", "parts"],
)
def test_mails_that_cannot_be_read_say_why(data: bytes, code: str) -> None:
    with pytest.raises(UnreadableFile) as caught:
        load_mail(data, "")
    assert caught.value.code == code


def test_parts_nested_without_end_are_refused() -> None:
    data = b"From: a\n"
    for level in range(1500):
        data += b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (level, level)
    with pytest.raises(UnreadableFile) as caught:
        load_mail(data, "")
    assert caught.value.code == "file_too_complex"


def test_mails_in_mails_are_read_to_a_depth() -> None:
    data = making.mail("The innermost.")
    for _ in range(6):
        data = making.mail("An outer one.", attached={"in.eml": data})
    text = load_mail(data, "").text
    assert "files deep" in text
    assert "The innermost." not in text


def test_headers_that_make_no_sense_do_no_harm() -> None:
    data = (
        b"From: =?utf-8?q?=F0?= <\xff@>\nTo: ,,;:<>\nDate: yesterday\nSubject: \xe4\xf6 =?x?b?!?=\nMIME-Version: 1.0\n\nwords"
    )
    document = load_mail(data, "")
    assert document.text.endswith("words")
    assert document.attributes["date"] == "yesterday"
