"""Messages as mail programs really write them, and broken ones: what is read, and what is said to be wrong."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sources.mailbox.dates import parse_date, written_at
from sources.mailbox.message import Message
from sources.mailbox.parse import parse
from sources.mailbox.people import addresses, canonical
from sources.mailbox.subjects import message_ids, taken_apart
from sources.mailbox.text import html_text, unflowed
from sources.mailbox.words import decoded, header_text

MAIL = Path(__file__).parents[1] / "fixtures" / "mail"
NOW = datetime(2026, 11, 17, 12, tzinfo=UTC)


def sample(name: str) -> Message:
    return parse((MAIL / f"{name}.eml").read_bytes(), now=NOW)


# What each sample says. Texts are whole; what is left out of a row is asserted elsewhere or does not matter.
SAMPLES: dict[str, dict[str, Any]] = {
    "outlook_reply_german": {
        "from_name": "Müller, Jörg",
        "from_email": "joerg.mueller@kunde.example",
        "cc": ("eva.schmidt@kunde.example",),
        "subject": "AW: Angebot für zwölf Plätze",
        "normal_subject": "angebot für zwölf plätze",
        "new_text": "Hallo Herr Baker,\n\nzwölf Plätze sind zu viele, wir brauchen acht. Das Budget liegt bei 9000 €.",
        "references": ("offer-17@ours.example",),
        "occurred_at": datetime(2026, 11, 16, 9, 31, 2, tzinfo=UTC),
    },
    "gmail_reply": {"new_text": "Hi Tom,\n\na pilot in December works – for six people.", "body_source": "plain"},
    "gmail_html_only": {
        "new_text": "We choose the yearly plan.\n\n\nPS: the invoice goes to Delft.",
        "body_source": "html",
    },
    "apple_forward": {"new_text": "Tom, see below, they would like to see a demo.", "is_forward": True},
    "iphone_reply": {"new_text": "Not this year, sorry.", "signature": "Sent from my iPhone"},
    "french_8bit_headers": {
        "from_name": "Hélène Lefèvre",
        "subject": "Réponse à votre devis",
        "new_text": "Bonjour,\n\nle devis dépasse notre budget de 2 000 €.",
        "occurred_at": datetime(2026, 11, 16, 8, tzinfo=UTC),
    },
    "japanese_iso2022": {
        "from_name": "山田太郎",
        "subject": "お見積りの件",
        "new_text": "お世話になっております。\n予算は百万円です。",
    },
    "chinese_mislabelled": {"from_name": "李雷", "new_text": "我们需要二十个座位，预算是三万元。喆先生会联系您。"},
    "latin_in_utf8": {"new_text": "The café costs 10 € a day, pasted: naïve"},
    "undeclared_windows1251": {
        "new_text": "Добрый день, нам нужно двадцать мест. Бюджет утверждён, договор готовит наш юрист, "
        "он напишет вам завтра."
    },
    "utf7_body": {"new_text": "Der Preis für zehn Plätze."},
    "flowed": {
        "new_text": "We looked at it again and we would like to have eleven seats instead of nine.",
        "quoted_text": "On 16.11.26 12:00, Tom Baker wrote:\n> Nine seats as agreed?",
        "signature": "--\nNils Holm",
    },
    "html_stub_plain": {"new_text": "Two café tables 40", "body_source": "html"},
    "undisclosed_recipients": {
        "to": (),
        "cc": ("ann@kunde.example", "bob@kunde.example", "carl@kunde.example"),
    },
    "name_like_address": {"from_email": "mallory@evil.example"},
    "date_missing": {"occurred_at": datetime(2026, 11, 16, 11, 0, 9, tzinfo=UTC), "date_source": "received"},
    "date_future": {"occurred_at": datetime(2026, 11, 16, 9, 31, 7, tzinfo=UTC), "date_source": "received"},
    "references_loop": {"references": ("a@ours.example",), "in_reply_to": "a@ours.example"},
    "smime_encrypted": {"protection": "smime-encrypted", "body": ""},
    "smime_signed": {"protection": "smime-signed", "new_text": "We agree to the terms."},
    "pgp_encrypted": {"protection": "pgp-encrypted", "body": ""},
    "tnef": {"protection": "tnef", "new_text": "See the file."},
    "broken_base64": {
        "new_text": "We need eight seats.",
        "problems": ("the transfer encoding of a part is broken; what could be decoded was kept",),
    },
    "broken_cut_short": {
        "new_text": "The first half of what I wanted to",
        "problems": ("it is cut short: a part does not end",),
    },
    "broken_boundary_missing": {
        "problems": ("its parts cannot be told apart: the boundary its headers name does not occur",)
    },
    "broken_no_headers": {"problems": ("there are no headers",)},
    "broken_empty": {"problems": ("it is empty",)},
}


@pytest.mark.parametrize("name", SAMPLES)
def test_a_message_is_read_as_it_was_meant(name: str) -> None:
    message = sample(name)
    assert {field: getattr(message, field) for field in SAMPLES[name]} == SAMPLES[name]


def test_every_sample_is_of_the_class_its_headers_say() -> None:
    other = {
        "auto_reply_exchange": "auto_reply",
        "auto_reply_old": "auto_reply",
        "auto_reply_rfc3834": "auto_reply",
        "bounce_delayed": "bounce",
        "bounce_exchange": "bounce",
        "bounce_gmail_plain": "bounce",
        "bounce_mailbox_full": "bounce",
        "bounce_postfix": "bounce",
        "bounce_qmail": "bounce",
        "calendar_invite": "calendar",
        "delivered_report": "receipt",
        "mailing_list": "list",
        "read_receipt": "receipt",
    }
    found = {path.stem: parse(path.read_bytes(), now=NOW).message_class for path in MAIL.glob("*.eml")}
    assert {name: kind for name, kind in found.items() if kind != "person"} == other


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("auto_reply_exchange", "X-Auto-Response-Suppress: All"),
        ("auto_reply_old", "Precedence: auto_reply"),
        ("auto_reply_rfc3834", "Auto-Submitted: auto-replied (vacation)"),
        ("bounce_gmail_plain", "X-Failed-Recipients: nobody@startup.example"),
        ("bounce_qmail", "From: mailer-daemon@alt.example"),
        ("mailing_list", "List-Id: Users of something <users.lists.example>"),
        ("delivered_report", "Action: delivered"),
    ],
)
def test_the_header_that_decided_is_named(name: str, header: str) -> None:
    assert sample(name).class_header == header


@pytest.mark.parametrize(
    ("name", "bounce"),
    [
        ("bounce_postfix", ("gone@kunde.example", "permanent", "5.1.1", "bad_address", "offer-99@ours.example")),
        # A rule of theirs refused it: nothing is wrong with the address.
        ("bounce_exchange", ("gone@kunde.example", "permanent", "5.7.1", "blocked", "offer-99@ours.example")),
        ("bounce_delayed", ("slow@kunde.example", "temporary", "4.4.1", "other", "offer-99@ours.example")),
        ("bounce_mailbox_full", ("full@kunde.example", "permanent", "5.2.2", "mailbox_full", "offer-99@ours.example")),
        ("bounce_gmail_plain", ("nobody@startup.example", "permanent", "5.1.1", "bad_address", "")),
        ("bounce_qmail", ("wrong@alt.example", "permanent", "5.1.1", "bad_address", "")),
    ],
)
def test_a_bounce_says_who_was_not_reached_and_why(name: str, bounce: tuple[str, ...]) -> None:
    found = sample(name).bounce
    assert found is not None
    assert (found.address, found.kind, found.status, found.reason, found.message_id) == bounce


def test_a_report_about_several_names_all_that_failed_and_not_the_ones_on_their_way() -> None:
    raw = (MAIL / "bounce_postfix.eml").read_bytes()
    block = b"Final-Recipient: rfc822; %s\nAction: %s\nStatus: %s\n\n"
    more = block % (b"late@kunde.example", b"delayed", b"4.4.1") + block % (b"left@kunde.example", b"failed", b"5.1.1")
    found = parse(raw.replace(b"Final-Recipient:", more + b"Final-Recipient:", 1), now=NOW).bounce
    assert found is not None
    assert (found.address, found.kind) == ("left@kunde.example;gone@kunde.example", "permanent")


def test_what_a_bounce_returns_is_not_read_as_new() -> None:
    assert "must not be read" not in sample("bounce_postfix").body


def test_a_notice_of_a_server_is_no_bounce_and_no_person() -> None:
    raw = b"From: postmaster@kunde.example\nSubject: Quarantine report\n\n5 messages were held for you.\n"
    message = parse(raw, now=NOW)
    assert (message.message_class, message.bounce) == ("auto_reply", None)


def test_a_newsletter_of_exchange_is_a_list_though_nobody_may_answer_it_automatically() -> None:
    raw = b"From: a@b.example\nX-Auto-Response-Suppress: All\nList-Unsubscribe: <mailto:x@b.example>\n\nNews\n"
    assert parse(raw, now=NOW).message_class == "list"


def test_quotes_of_a_page_are_marked_by_depth() -> None:
    inner = "<blockquote type=cite>Well?</blockquote>"
    page = f"<p>No.</p><blockquote type=cite>Yes?<br><br>Or no?{inner}</blockquote><p>Bye</p>"
    assert html_text(page) == "No.\n\n> Yes?\n>\n> Or no?\n>> Well?\n\nBye"
    forwarded = "<p>See:</p><p>Begin forwarded message:</p><blockquote type=cite><p>We pay.</p></blockquote>"
    assert html_text(forwarded) == "See:\n\nBegin forwarded message:\n\nWe pay."


def test_words_hidden_from_readers_are_not_read() -> None:
    body = sample("gmail_html_only").body
    assert "Assistant" not in body and "score" not in body
    hidden = '<p>Yes</p><p style="font-size:0">No</p><p hidden>No</p><!-- No --><script>No</script>'
    assert html_text(hidden + '<p style="visibility: hidden">No</p>') == "Yes"


def test_attachments_are_listed_and_not_read() -> None:
    message = sample("attachments")
    assert [(one.name, one.type, one.size, one.is_inline) for one in message.attachments] == [
        ("logo.png", "image/png", 9, True),
        ("Vertrag für Tom.pdf", "application/pdf", 27, False),
        ("notes.txt", "text/plain", 29, False),
    ]
    assert message.attachments[0].content_id == "logo@kunde"
    assert message.body == "Signed contract attached."


def test_an_attached_message_is_forwarded_text_under_its_own_headers() -> None:
    from enrich.spans import zones

    message = sample("forwarded_as_attachment")
    assert message.attachments[0].name == "Seats"
    kinds = {zone.kind: message.body[zone.start : zone.end].strip() for zone in zones(message.body)}
    assert kinds["new"] == "Please have a look."
    assert kinds["forwarded"] == "We need forty seats."
    assert "From: Luc Petit <luc@musee.example>" in kinds["quoted"]


def test_an_invitation_is_kept_for_the_calendar() -> None:
    message = sample("calendar_invite")
    (invitation,) = message.invitations
    assert invitation.uid == "040000008200E00074C5B7101A82E00800000000A0B1@kunde.example"
    assert (invitation.method, invitation.sequence, invitation.recurrence_id) == ("REQUEST", "2", "")
    assert "BEGIN:VEVENT" in invitation.ics and message.body == "Kick-off on Thursday."


def test_headers_stand_in_the_shape_that_models_read() -> None:
    headers = sample("auto_reply_rfc3834").headers
    assert headers["Auto-Submitted"] == "auto-replied (vacation)"
    assert json.loads(json.dumps({"headers": headers}))["headers"]["Message-ID"] == "<vac@garage.example>"


def test_a_message_without_an_id_is_the_same_one_wherever_it_lies() -> None:
    raw = (MAIL / "no_message_id.eml").read_bytes()
    elsewhere = b"Return-Path: <scanner@scanner.example>\r\nX-Folder: 2\r\n" + raw.replace(b"\n", b"\r\n")
    assert parse(raw, now=NOW).key == parse(elsewhere, now=NOW + timedelta(days=9)).key
    assert parse(raw, now=NOW).key != parse(raw.replace(b"A page", b"Two pages"), now=NOW).key


def test_parts_nested_without_end_cost_their_text_and_nothing_else() -> None:
    head = b"From: a@b.example\nSubject: Deep\nMIME-Version: 1.0\n"
    raw = head + b"".join(b'Content-Type: multipart/mixed; boundary="%d"\n\n--%d\n' % (n, n) for n in range(400))
    message = parse(raw + b"\nHello\n", now=NOW)
    assert (message.from_email, message.subject) == ("a@b.example", "Deep")
    assert message.problems


def test_a_page_that_asks_for_endless_blanks_gets_none() -> None:
    page = '<div style="margin-top:90000em;padding-left:90000em">' * 20 + "Yes" + "</div>" * 20
    assert html_text(page) == "Yes"
    assert html_text("<div>" * 3_000 + "Yes").strip() == "Yes"


# -- pieces ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "charset", "text"),
    [
        ("Grüße".encode(), "iso-8859-1", "Grüße"),
        ("Grüße".encode("cp1252"), "utf-8", "Grüße"),
        ("50 €".encode("cp1252"), "iso-8859-1", "50 €"),
        ("价".encode("gb18030"), "gb2312", "价"),
        ("値段は高い".encode("cp932"), "shift_jis", "値段は高い"),
        ("가격".encode("cp949"), "ks_c_5601-1987", "가격"),
        (b"plain", "rot13", "plain"),
        (b"plain", "no-such-charset", "plain"),
        ("wide".encode("utf-16-le"), "utf-16le", "wide"),
        (b"a page that says utf-16", "utf-16", "a page that says utf-16"),
        ("我们需要二十个座位，预算是三万元".encode("gb18030"), "us-ascii", "我们需要二十个座位，预算是三万元"),
    ],
)
def test_a_charset_that_does_not_fit_is_seen(data: bytes, charset: str, text: str) -> None:
    assert decoded(data, charset)[0] == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("=?utf-8?Q?a_b?= =?utf-8?Q?c?=", "a bc"),
        ("=?utf-8?B?4oI=?= =?utf-8?B?rA==?=", "€"),
        ("before =?iso-8859-1?q?f=FCr?= after", "before für after"),
        ("=?utf-8*de?Q?f=C3=BCr?=", "für"),
        ("=?utf-8?Q?never closed", "=?utf-8?Q?never closed"),
        ("folded\r\n\tline", "folded line"),
    ],
)
def test_encoded_words_are_decoded(value: str, text: str) -> None:
    assert header_text(value) == text


def test_addresses_are_found_however_they_are_written() -> None:
    line = '"Doe, Jane" <JANE@X.example>, =?utf-8?Q?J=C3=B6rg?= <j@y.example>; <k@z.example>, l@w.example (Lee)'
    assert [address for _, address in addresses([line])] == [
        "jane@x.example",
        "j@y.example",
        "k@z.example",
        "l@w.example",
    ]
    assert addresses(['"broken <m@v.example>']) == [("", "m@v.example")]
    assert addresses(["not an address", ""]) == []
    assert canonical("<mailto:A@B.example>") == "a@b.example"


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("Re: AW: Offer", ("offer", True, False)),
        ("RE[2]: Offer", ("offer", True, False)),
        ("[users] Re: [users] Offer", ("offer", True, False)),
        ("Fwd: Re: Offer", ("offer", False, True)),
        ("回复：报价", ("报价", True, False)),
        ("Report: numbers", ("report: numbers", False, False)),
        ("Re:", ("", True, False)),
        ("[only a tag]", ("[only a tag]", False, False)),
    ],
)
def test_a_subject_loses_what_programs_put_before_it(subject: str, expected: tuple[str, bool, bool]) -> None:
    assert taken_apart(subject) == expected


def test_message_ids_are_found_between_words_and_folds() -> None:
    assert message_ids("Your mail of Friday <a@b> and\r\n <c@\r\n d>, <a@b>") == ("a@b", "c@d")
    assert message_ids("a@b c@d") == ("a@b", "c@d")
    many = " ".join(f"<{number}@x>" for number in range(1_000))
    assert message_ids(many)[0] == "0@x" and message_ids(many)[-1] == "999@x"


@pytest.mark.parametrize(
    ("text", "hour"),
    [
        ("Mon, 16 Nov 2026 10:00:00 +0100", 9),
        ("Mon, 16 Nov 2026 10:00:00 MEZ", 9),
        ("Mon, 16 Nov 2026 10:00:00 +0900 (JST)", 1),
        ("2026-11-16T10:00:00+01:00", 9),
        ("2026-11-16 10:00", 10),
        ("Mo, 16. November 2026 10:00:00 +0100", 9),
        ("16 Nov 26 10:00 GMT", 10),
        ("lundi 16 novembre 2026 10:00:00 -0500", 15),
    ],
)
def test_dates_are_read_in_the_zones_and_languages_programs_write(text: str, hour: int) -> None:
    assert parse_date(text) == datetime(2026, 11, 16, hour, tzinfo=UTC)


def test_a_date_that_cannot_be_true_gives_way() -> None:
    received, internal = NOW - timedelta(hours=3), NOW - timedelta(hours=2)
    assert written_at("Thu, 1 Jan 1970 00:00:00 +0000", received, internal, NOW) == (received, "received")
    assert written_at("nonsense", None, internal, NOW) == (internal, "internal")
    assert written_at("Tue, 17 Nov 2026 20:00:00 +0000", received, None, NOW)[1] == "date"
    assert written_at("Thu, 19 Nov 2026 20:00:00 +0000", None, None, NOW) == (None, "none")
    assert parse_date("99 Nov 2026 10:00") is None


def test_flowed_lines_are_joined_by_quote_depth() -> None:
    assert unflowed("a \nb\n> c \n> d\n>> e\n f\n-- \ng") == "a b\n> c d\n>> e\nf\n-- \ng"
    assert unflowed("予 \n算", joins_without_blank=True) == "予算"


HOSTILE = {
    "a line of blanks": b"Subject: x\n\n" + b" " * 900_000 + b"x",
    "blanks in headers": b"Subject: x"
    + b" " * 15_000
    + b"\n\ty\n"
    + b"To: a\n"
    + (b"X-A:" + b" " * 9_000 + b"\n b\n") * 80,
    "words without end": b"Subject: " + b"=?a?q?" * 8_000 + b"\n\n",
    "addresses without end": b"To: "
    + b",@a" * 30_000
    + b"\nCc: "
    + b"<" * 90_000
    + b"\nBcc: "
    + b"(" * 90_000
    + b"\n\nx",
    "tags without end": b"Content-Type: text/html\n\n" + b"<" * 300_000 + b"<a " * 100_000,
    "tables in tables": b"Content-Type: text/html\n\n" + b"<table><tr><td>x" * 240,
    "wide tables": b"Content-Type: text/html\n\n<table>" + (b"<tr>" + b"<td>x</td>" * 100) * 100,
    "quotes in HTML": b"Content-Type: text/html\n\n" + b"<blockquote type=cite>x</blockquote>" * 9_000,
    "enriched": b"Content-Type: text/enriched\n\n" + b"<param>" * 100_000,
    "parts": b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * 8_000,
    "pgp": b"Subject: x\n\n" + b"-----BEGIN PGP SIGNED MESSAGE-----\nHash: x\n" * 5_000,
    "references": b"References: " + b"<a@b" * 30_000 + b"\n\nx",
    "quotes": b"Subject: x\n\n" + b"> " * 300_000 + b"\n" + b"On x " * 60_000 + b"wrote:\n" + b"From: x\n" * 20_000,
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_message_takes_the_night(kind: str) -> None:
    started = time.process_time()
    parse(HOSTILE[kind], now=NOW)
    assert time.process_time() - started < 3
