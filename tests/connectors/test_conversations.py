"""Exports of Slack, Jira and Confluence: what is found, where it is said to be, and that no value ever leaves."""

from __future__ import annotations

import csv
import json
import os
import stat
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from wardship.connectors import conversations
from wardship.connectors.conversations.jira import JiraExport
from wardship.connectors.conversations.markup import text_of_html
from wardship.connectors.conversations.message import Message
from wardship.model.errors import ConfigError, ConnectorError, DataError
from wardship.model.exposure import Exposure, Place
from wardship.model.identity import System
from wardship.sdk.testing import ScopeRead, read_all
from wardship.sim import conversations as sim

AT = datetime(2026, 3, 4, 9, 14, tzinfo=UTC)
TOKEN = "ghp_" + "Zq7Rk2Wm9Xc4Vb1Nt8Ls3Jh6Gd5Fp0Ya2TeU"[:36]
PHRASE = "Xk29" + "fjQ2pz7Lm"
LOGIN = "postgres://svc:" + "Wq81Rt55Zm29" + "@db7.acme.example/app"
Clock = Callable[[], datetime]


def read(path: Path, clock: Clock, **settings: str) -> tuple[str, list[Exposure], list[str]]:
    """(authority, exposures, reasons of what was quarantined) of an export with one system."""
    connection = sim.connection(path, "x", clock)
    reader = conversations.connect(replace(connection, settings={**connection.settings, **settings}))
    (scope,) = reader.scopes()
    found: list[Exposure] = []
    reasons: list[str] = []
    systems = 0
    for page in reader.fetch(scope, None):
        for item in page.items:
            try:
                for record in reader.parse(scope, item):
                    systems += isinstance(record, System)
                    if isinstance(record, Exposure):
                        found.append(record)
            except DataError as refused:
                reasons.append(refused.message)
    assert systems == 1
    return scope.authority, found, reasons


@pytest.fixture
def slack(tmp_path: Path) -> sim.SlackExport:
    return sim.SlackExport(tmp_path / "export")


# ------------------------------------------------------------------ Slack


def test_a_token_in_a_thread_of_two_days_is_one_exposure(slack: sim.SlackExport, clock: Clock) -> None:
    root = slack.message("ops", "ana@acme.example", AT, "who has a token?")
    slack.message("ops", "luis@acme.example", AT + timedelta(minutes=3), f"use `{TOKEN}` please", thread=root)
    last = slack.message("ops", "ana@acme.example", AT + timedelta(days=1), f"{TOKEN} works", thread=root)
    authority, found, reasons = read(slack.write(), clock)
    assert authority == f"slack:{sim.TEAM}"
    assert not reasons
    (one,) = found
    assert (one.location, one.place) == (f"#ops 2026-03-04 thread {root}", Place.CHAT)
    assert (one.occurrences, one.revision) == (2, last)
    assert one.introduced_by == "luis@acme.example"
    assert one.introduced_at == AT + timedelta(minutes=3)
    assert (one.public, one.in_head, one.detector) == (False, None, "github.token")


def test_messages_of_their_own_are_places_of_their_own(slack: sim.SlackExport, clock: Clock) -> None:
    slack.message("prod-alerts", "ana@acme.example", AT, LOGIN)
    slack.message("prod-alerts", "eva@acme.example", AT + timedelta(hours=1), LOGIN)
    _authority, found, _reasons = read(slack.write(), clock)
    assert len({one.location for one in found}) == 2
    assert len({one.fingerprint for one in found}) == 1
    assert {one.environment for one in found} == {"production"}


def test_what_was_edited_out_or_deleted_is_told_as_gone(slack: sim.SlackExport, clock: Clock) -> None:
    stamp = f"{int(AT.timestamp())}.000900"
    slack.message(
        "ops",
        "ana@acme.example",
        AT + timedelta(hours=2),
        "removed, sorry",
        edited={"ts": stamp},
        original={"text": LOGIN},
    )
    slack.message(
        "ops",
        "ana@acme.example",
        AT + timedelta(hours=3),
        "",
        subtype="message_deleted",
        original={"text": f"k {TOKEN}"},
    )
    _authority, found, _reasons = read(slack.write(), clock)
    by = {one.detector: one for one in found}
    assert {one.in_head for one in found} == {False}
    assert by["generic.password"].removed_at == AT
    assert by["github.token"].removed_at == AT + timedelta(hours=3)


def test_attachments_snippets_links_and_blocks_are_read(slack: sim.SlackExport, clock: Clock) -> None:
    places: list[dict[str, Any]] = [
        {"attachments": [{"fields": [{"title": "DB_PASSWORD", "value": PHRASE}]}]},
        {"files": [{"name": "deploy.sh", "preview": f"export GITHUB_TOKEN={TOKEN}", "url_private": "https://x/y"}]},
        {"blocks": [{"type": "rich_text", "elements": [{"elements": [{"type": "text", "text": LOGIN}]}]}]},
    ]
    for number, more in enumerate(places):
        slack.message("ops", "ana@acme.example", AT + timedelta(minutes=number), "", **more)
    slack.message("ops", "ana@acme.example", AT + timedelta(hours=1), f"&lt;{TOKEN}&gt; and <{LOGIN}|the database>")
    _authority, found, _reasons = read(slack.write(), clock)
    assert len(found) == 5
    assert len({one.fingerprint for one in found}) == 3


def test_a_folder_tells_the_same_as_a_zip(tmp_path: Path, clock: Clock) -> None:
    told = []
    for packed in (True, False):
        export = sim.SlackExport(tmp_path / str(packed), packed=packed)
        export.message("ops", "ana@acme.example", AT, LOGIN)
        told.append(read(export.write(), clock))
    assert told[0] == told[1]


def test_a_broken_day_costs_itself_only(slack: sim.SlackExport, clock: Clock, tmp_path: Path) -> None:
    slack.message("ops", "ana@acme.example", AT, LOGIN)
    path = slack.write()
    with zipfile.ZipFile(path, "a") as packed:
        packed.writestr("ops/2026-03-05.json", '[{"text": "' + TOKEN)
        packed.writestr("ops/2026-03-06.json", "[" * 100_000)
        packed.writestr("ops/2026-03-07.json", json.dumps([7, {"text": TOKEN}, {"ts": "never", "text": TOKEN}]))
        packed.writestr("ops/2026-03-08.json", json.dumps({"text": TOKEN}))
    _authority, found, reasons = read(path, clock)
    assert len(found) == 1
    assert len(reasons) == 6
    assert TOKEN not in repr(reasons)


# ------------------------------------------------------------------ Jira

CSV = """Summary,Issue key,Issue id,Reporter,Created,Description,Comment,Comment
"Deploy, again",OPS-123,10001,ana@acme.example,04/Mar/26 9:14 AM,"see {login}",,"05/Mar/26 8:00 AM;luis;try
{token}"
Nothing,OPS-124,10002,eva,04/Mar/26 9:20 AM,nothing,,
Bad key,../../etc,1,eva,,{token},,
"""
RSS = """<?xml version="1.0" encoding="UTF-8"?><!-- RSS generated by JIRA -->
<rss version="0.92"><channel><title>Jira</title><link>https://jira.acme.example/issues</link>
<item><title>t</title><link>https://jira.acme.example/browse/OPS-123</link><key id="1">OPS-123</key>
<summary>s</summary><reporter username="ana@acme.example">Ana</reporter>
<created>Wed, 4 Mar 2026 10:14:00 +0100</created>
<description>&lt;p&gt;see &lt;code&gt;{login}&lt;/code&gt;&lt;/p&gt;</description>
<comments><comment id="55" author="luis" created="Thu, 5 Mar 2026 09:00:00 +0100">&lt;p&gt;try {token}
</comment></comments></item></channel></rss>"""


def issues() -> dict[str, Any]:
    document = {
        "type": "doc",
        "content": [{"type": "paragraph", "content": [{"type": "text", "text": f"try {TOKEN}"}]}],
    }
    comment = {"id": "55", "author": {"accountId": "5f1"}, "body": document, "created": "2026-03-05T09:00:00.000+0100"}
    fields = {
        "summary": "s",
        "description": f"see {LOGIN}",
        "reporter": {"emailAddress": "ana@acme.example"},
        "created": "2026-03-04T10:14:00.000+0100",
        "comment": {"comments": [comment]},
    }
    return {"issues": [{"key": "OPS-123", "self": "https://jira.acme.example/rest/api/3/issue/1", "fields": fields}]}


@pytest.mark.parametrize("form", ["csv", "xml", "json"])
def test_jira_issues_and_comments(tmp_path: Path, clock: Clock, form: str) -> None:
    path = tmp_path / f"issues.{form}"
    text = {"csv": CSV.format(login=LOGIN, token=TOKEN), "xml": RSS.format(login=LOGIN, token=TOKEN)}
    path.write_text(text.get(form) or json.dumps(issues()), "utf-8")
    authority, found, reasons = read(path, clock, **({"site": "jira.acme.example"} if form == "csv" else {}))
    assert authority == "jira:jira.acme.example"
    by = {one.location: one for one in found}
    assert set(by) == {"OPS-123", "OPS-123 comment 1"}
    assert {one.place for one in found} == {Place.TICKET}
    assert by["OPS-123"].introduced_by == "ana@acme.example"
    assert by["OPS-123 comment 1"].introduced_by is None
    if form == "csv":
        assert by["OPS-123"].introduced_at is None, "a time without a zone is no instant"
        assert by["OPS-123"].attributes["written"] == "04/Mar/26 9:14 AM"
        assert len(reasons) == 1
    else:
        assert by["OPS-123"].introduced_at == AT
        assert by["OPS-123 comment 1"].revision == "55"


def test_a_long_comment_is_read_and_the_limit_of_other_readers_stays_theirs(tmp_path: Path, clock: Clock) -> None:
    """`csv.field_size_limit` belongs to the process."""
    before = csv.field_size_limit()
    path = tmp_path / "issues.csv"
    text = f"Issue key,Summary,Comment\nOPS-1,x,{'a ' * before}{LOGIN}\nOPS-2,x,y\n"
    path.write_text(text, "utf-8")
    export = JiraExport(path, "csv", None)
    messages = export.messages(path.name)
    for _number in range(2):
        assert isinstance(next(messages), Message)
        assert csv.field_size_limit() == before
    _authority, found, reasons = read(path, clock)
    assert ([one.location for one in found], reasons) == (["OPS-1 comment 1"], [])


def test_xml_that_declares_anything_is_refused(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "issues.xml"
    laughs = '<!DOCTYPE rss [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>'
    path.write_text(laughs + RSS.partition("?>")[2].format(login=LOGIN, token="&b;"), "utf-8")
    _authority, found, reasons = read(path, clock)
    assert not found
    assert reasons == ["after item 0: a document type: no export has one"]


@pytest.mark.parametrize(
    "text",
    ["<a>" * 100_000, "<item>" + "<b " + "c" * 4_000_000, "<item><key>", "<item>" + "\x00", "<item a='1' a='2'/>"],
)
def test_xml_that_is_no_xml_is_told_and_ends(tmp_path: Path, clock: Clock, text: str) -> None:
    path = tmp_path / "issues.xml"
    path.write_text("<rss><!-- JIRA -->" + text, "utf-8")
    _authority, found, reasons = read(path, clock)
    assert not found
    assert len(reasons) == 1


# ------------------------------------------------------------------ Confluence


def entities() -> str:
    def reference(name: str, kind: str, ident: str) -> str:
        return f'<property name="{name}" class="{kind}"><id name="id">{ident}</id></property>'

    def thing(kind: str, ident: str, *parts: str) -> str:
        return f'<object class="{kind}" package="p"><id name="id">{ident}</id>{"".join(parts)}</object>'

    def said(name: str, value: str) -> str:
        return f'<property name="{name}"><![CDATA[{value}]]></property>'

    def body(ident: str, page: str, text: str) -> str:
        return thing("BodyContent", ident, said("body", text), reference("content", "Page", page))

    plain = "<ac:plain-text-body><![CDATA[export T={}]] ></ac:plain-text-body>"
    macro = f'<ac:structured-macro ac:name="code">{plain}</ac:structured-macro>'
    current = said("contentStatus", "current")
    return "".join(
        (
            '<?xml version="1.0" encoding="UTF-8"?><hibernate-generic datetime="2026-03-05 10:00:00">',
            body("91", "11", f"<p>the database: {LOGIN}</p>"),
            body("92", "12", f"<p>old</p>{macro.format(TOKEN)}"),
            body("93", "13", f"<p>in a comment: {TOKEN}</p>"),
            body("94", "999", f"<p>a template: {TOKEN}</p>"),
            thing("Space", "1", said("key", "OPS"), said("name", "Operations")),
            thing("ConfluenceUserImpl", "u1", said("name", "ana@acme.example")),
            thing("Page", "11", said("title", "Runbook"), reference("space", "Space", "1"), current,
                  reference("lastModifier", "ConfluenceUserImpl", "u1")),
            thing("Page", "12", said("title", "Runbook (old)"), reference("originalVersion", "Page", "11"), current),
            thing("Comment", "13", reference("containerContent", "Page", "11"), current),
            "</hibernate-generic>",
        )
    )  # fmt: skip


def test_confluence_xml_with_old_versions_and_comments(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "space.zip"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("entities.xml", entities())
    authority, found, reasons = read(path, clock, site="wiki.acme.example")
    assert authority == "confluence:wiki.acme.example/OPS"
    assert not reasons
    told = {(one.location, one.detector): one for one in found}
    assert set(told) == {
        ("OPS Runbook", "generic.password"),
        ("OPS Runbook", "github.token"),
        ("OPS Runbook comments", "github.token"),
    }
    assert told["OPS Runbook", "generic.password"].in_head is True
    assert told["OPS Runbook", "github.token"].in_head is False, "only an old version has it"
    assert told["OPS Runbook", "generic.password"].introduced_by == "ana@acme.example"
    assert {one.place for one in found} == {Place.WIKI}


def test_confluence_html(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "index.html").write_text("<html><title>Operations (OPS)</title><h2>Space Details:</h2>", "utf-8")
    page = f"<title>Operations : Runbook</title><!-- {TOKEN} --><p class='a'>the database: <a href='{LOGIN}'>x</a></p>"
    (tmp_path / "Runbook_11.html").write_text(page, "utf-8")
    authority, found, _reasons = read(tmp_path, clock)
    assert authority == "confluence:export/Operations"
    assert {(one.location, one.detector) for one in found} == {
        ("Operations Runbook", "generic.password"),
        ("Operations Runbook", "github.token"),
    }


# ------------------------------------------------------------------ safety


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<p>a &lt;b&gt;</p>c", "\na <b>\nc"),
        ("x<!-- a remark -->y<!-- never closed", "x a remark y<!-- never closed"),
        ("<ac:code><![CDATA[a <b> &amp;]]></ac:code>", "\na <b> &amp;\n"),
        ("1 < 2 <3", "1 < 2 <3"),
        ('<img alt="a > b"/>z', "z"),
    ],
)
def test_text_of_html(markup: str, text: str) -> None:
    assert text_of_html(markup) == text


HALVES = ("<a", "<a ", "<a b='", '<p x="', "<!--", "<![CDATA[", "</", "<!", "<?", "&", "&#1", "<a href='@")


@pytest.mark.parametrize("part", HALVES)
def test_text_of_html_takes_one_pass_whatever_is_sent(part: str) -> None:
    def seconds(times: int) -> float:
        begun = time.process_time()
        text_of_html(part * times)
        return time.process_time() - begun

    seconds(1_000)
    assert seconds(160_000) < 64 * max(seconds(10_000), 0.005), "16 times the text, far less than 256 times the time"


def everything(reader: Any) -> str:
    """Whatever a reader gives or raises, as text."""
    told: list[str] = []
    try:
        for scope in reader.scopes():
            for page in reader.fetch(scope, None):
                told.append(repr(page))
                for item in page.items:
                    try:
                        told.append(repr(list(reader.parse(scope, item))))
                    except DataError as refused:
                        told.append(repr(refused) + refused.message)
    except (ConnectorError, ConfigError) as refused:
        told.append(repr(refused) + refused.message)
    return "\n".join((*told, repr(vars(reader)), repr(reader.drift)))


def test_no_value_is_in_any_record_page_quarantine_or_error(tmp_path: Path, clock: Clock) -> None:
    export = sim.SlackExport(tmp_path / "slack")
    export.message(
        "ops", "ana@acme.example", AT, f"{LOGIN} and {TOKEN}\nDB_PASSWORD={PHRASE}", original={"text": f"was {TOKEN}"}
    )
    paths = [export.write()]
    for name, text in {
        "a.csv": CSV.format(login=LOGIN, token=TOKEN),
        "b.xml": RSS.format(login=LOGIN, token=TOKEN),
        "c.xml": RSS.format(login=LOGIN, token=TOKEN + "<"),
        "d.json": json.dumps(issues()),
    }.items():
        (tmp_path / name).write_text(text, "utf-8")
        paths.append(tmp_path / name)
    (tmp_path / "wiki").mkdir()
    (tmp_path / "wiki" / "entities.xml").write_text(entities(), "utf-8")
    paths.append(tmp_path / "wiki")
    found = 0
    for path in paths:
        text = everything(conversations.connect(sim.connection(path, "x", clock)))
        assert TOKEN not in text
        assert PHRASE not in text
        assert "Wq81Rt55Zm29" not in text
        found += text.count("Exposure(")
    assert found >= 10


def test_reading_again_gives_the_value_and_only_there(slack: sim.SlackExport, clock: Clock) -> None:
    slack.message("ops", "ana@acme.example", AT, LOGIN)
    path = slack.write()
    connection = sim.connection(path, "x", clock)
    _authority, (one,), _reasons = read(path, clock)
    asked = {"authority": one.authority, "location": one.location, "fingerprint": one.fingerprint}
    value = conversations.read_value(connection, asked)
    assert value is not None
    assert connection.fingerprint(value) == one.fingerprint
    assert conversations.read_value(connection, {**asked, "location": "#ops elsewhere"}) is None
    assert conversations.read_value(connection, {**asked, "fingerprint": None}) is None


def test_a_bomb_ends_at_its_bound(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("channels.json", "[]")
        packed.writestr("users.json", "[]")
        with packed.open("ops/2026-03-04.json", "w") as day:
            for _ in range(64):
                day.write(b" " * 1024 * 1024)
    tracemalloc.start()
    connection = sim.connection(path, "x", clock)
    text = everything(conversations.connect(connection))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "unpacks to far more" in text
    assert "Exposure(" not in text
    assert peak < 40 * 1024 * 1024


def test_members_that_lead_elsewhere_are_told_and_not_opened(slack: sim.SlackExport, clock: Clock) -> None:
    slack.message("ops", "ana@acme.example", AT, LOGIN)
    path = slack.write()
    link = zipfile.ZipInfo("ops/2026-03-05.json")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "a") as packed:
        packed.writestr(link, "/etc/passwd")
        packed.writestr("../outside.json", "[]")
        packed.writestr("ops/more.zip", "PK")
    _authority, found, reasons = read(path, clock)
    assert len(found) == 1
    assert sorted(reason.rpartition(": ")[2] for reason in reasons) == [
        "a link",
        "a name that leads out of the export",
        "an archive inside the export",
    ]


def test_links_in_a_folder_are_not_followed(tmp_path: Path, clock: Clock) -> None:
    export = sim.SlackExport(tmp_path / "export", packed=False)
    export.message("ops", "ana@acme.example", AT, "nothing")
    folder = export.write()
    (tmp_path / "secret.json").write_text(json.dumps([{"ts": "1700000000.000100", "text": LOGIN}]), "utf-8")
    (folder / "ops" / "2026-03-09.json").symlink_to(tmp_path / "secret.json")
    os.mkfifo(folder / "ops" / "2026-03-10.json")
    _authority, found, reasons = read(folder, clock)
    assert not found
    assert reasons == ["ops/2026-03-09.json: a link", "ops/2026-03-10.json: no regular file"]


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04broken", b"<html>", b"{}", os.urandom(4096)])
def test_what_is_no_export_is_refused_in_words(tmp_path: Path, clock: Clock, content: bytes) -> None:
    path = tmp_path / "thing.bin"
    path.write_bytes(content)
    with pytest.raises(ConfigError):
        conversations.import_files([path], sim.connection(path, "x", clock))


def test_an_export_is_the_whole_only_when_somebody_says_so(slack: sim.SlackExport, clock: Clock) -> None:
    slack.message("ops", "ana@acme.example", AT, LOGIN)
    connection = sim.connection(slack.write(), "x", clock)
    for whole, problems in (("no", 1), ("yes", 0)):
        reader = conversations.connect(replace(connection, settings={**connection.settings, "whole": whole}))
        (told,) = read_all(reader).values()
        assert isinstance(told, ScopeRead)
        assert len(told.problems) == problems


def test_a_word_that_is_neither_yes_nor_no_is_asked_about(slack: sim.SlackExport, clock: Clock) -> None:
    connection = sim.connection(slack.write(), "x", clock)
    with pytest.raises(ConfigError, match="whole must be true or false"):
        conversations.connect(replace(connection, settings={**connection.settings, "whole": "mostly"}))


def test_a_token_of_another_state_of_the_files_is_refused(slack: sim.SlackExport, clock: Clock) -> None:
    slack.message("ops", "ana@acme.example", AT, LOGIN)
    connection = sim.connection(slack.write(), "x", clock)
    reader = conversations.connect(connection)
    (scope,) = reader.scopes()
    token = next(iter(reader.fetch(scope, None))).next_token
    slack.message("ops", "ana@acme.example", AT + timedelta(hours=1), TOKEN)
    slack.write()
    with pytest.raises(ConnectorError, match="changed"):
        list(conversations.connect(connection).fetch(scope, token))
