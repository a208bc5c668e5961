"""What reading exports of conversations needs, and what such exports leave out."""

from __future__ import annotations

from wardship.sdk.connector import BlindSpot, Capability, Evidence, Manifest, Permission, Setting
from wardship.sdk.i18n import N_

MANIFEST = Manifest(
    name="conversations",
    title="Chat, ticket and wiki exports",
    systems=("slack_workspace", "jira_site", "confluence_space"),
    permissions={
        Capability.DISCOVER: (
            Permission(name=N_("read the export"), why=N_("an export that an administrator made is all that is read")),
        ),
        Capability.IMPORT: (),
    },
    settings=(
        Setting(name="path", help=N_("the export: a folder, a ZIP file, or a CSV, XML or JSON file"), required=True),
        Setting(
            name="site",
            help=N_("the workspace, host or space that the export is from, where it does not say so itself"),
        ),
        Setting(
            name="whole",
            help=N_("yes: the export holds everything, so what it no longer holds counts as removed; no: it may not"),
            default="no",
        ),
    ),
    blind_spots=(
        BlindSpot(
            id="conversations.private",
            text=N_(
                "An export leaves out what whoever made it may not see: private channels and direct messages in Slack,"
                " restricted issues in Jira, restricted pages in Confluence."
            ),
        ),
        BlindSpot(
            id="conversations.deleted",
            text=N_(
                "What was deleted or overwritten before the export is not in it, and may still have been read by many."
            ),
        ),
        BlindSpot(
            id="conversations.attachments",
            text=N_("Attached files and pictures are not read; of a Slack snippet only the preview in the export is."),
        ),
        BlindSpot(
            id="conversations.as_of_export",
            text=N_("An export says what was there when it was made; what was written since then is not seen."),
        ),
        BlindSpot(
            id="conversations.dates_without_zone",
            text=N_("Jira's CSV tells times without their zone: when something was written then stays not known."),
        ),
    ),
    unavailable={"act": N_("messages are removed by people in the system itself, and a leaked secret is rotated")},
    evidence=Evidence.DOCUMENTATION,
    imports=(
        N_("Slack workspace export (ZIP or folder)"),
        N_("Jira issues as CSV, XML (RSS) or JSON of its search"),
        N_("Confluence space export (XML as ZIP or folder, HTML as ZIP or folder)"),
    ),
    links=(
        "https://slack.com/help/articles/220556107-How-to-read-Slack-data-exports",
        "https://confluence.atlassian.com/doc/export-content-to-word-pdf-html-and-xml-139475.html",
    ),
)
