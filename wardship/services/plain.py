"""What a grant allows, in words that need no vendor's manual. The tier speaks where no phrase is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wardship.sdk.i18n import N_, _

# Microsoft Graph permissions, from the permissions reference, 2026-10. Each phrase: (one person's, everybody's).
_PHRASES: Mapping[str, tuple[str, str]] = {
    "Mail.Read": (N_("reads the mail of the person who signs in"), N_("reads all mail in every mailbox")),
    "Mail.ReadBasic.All": (N_("reads mail headers"), N_("reads the headers of all mail in every mailbox")),
    "Mail.ReadWrite": (
        N_("reads and changes the mail of the person who signs in"),
        N_("reads, changes and deletes mail in every mailbox"),
    ),
    "Mail.Send": (N_("sends mail as the person who signs in"), N_("sends mail as anybody in the organisation")),
    "Files.Read.All": (
        N_("reads every file that the person who signs in may read"),
        N_("reads every file in OneDrive and SharePoint"),
    ),
    "Files.ReadWrite.All": (
        N_("changes every file that the person who signs in may change"),
        N_("reads, changes and deletes every file in OneDrive and SharePoint"),
    ),
    "Sites.Read.All": (N_("reads every site that the person who signs in may read"), N_("reads every SharePoint site")),
    "Sites.ReadWrite.All": (
        N_("changes every site that the person who signs in may change"),
        N_("reads, changes and deletes content in every SharePoint site"),
    ),
    "Sites.FullControl.All": (
        N_("full control of every site of the person who signs in"),
        N_("full control of every SharePoint site"),
    ),
    "Calendars.Read": (N_("reads the calendar of the person who signs in"), N_("reads every calendar")),
    "Calendars.ReadWrite": (N_("changes the calendar of the person who signs in"), N_("changes every calendar")),
    "Contacts.Read": (N_("reads the contacts of the person who signs in"), N_("reads everybody's contacts")),
    "Chat.Read.All": (N_("reads chats"), N_("reads every chat in Teams")),
    "ChannelMessage.Read.All": (N_("reads channel messages"), N_("reads every channel message in Teams")),
    "User.Read": (
        N_("reads the profile of the person who signs in"),
        N_("reads the profile of the person who signs in"),
    ),
    "User.Read.All": (N_("reads all profiles"), N_("reads the profile of everybody in the directory")),
    "User.ReadWrite.All": (N_("changes all profiles"), N_("changes everybody's account in the directory")),
    "Group.ReadWrite.All": (N_("changes groups"), N_("changes every group and its members")),
    "Directory.Read.All": (N_("reads the directory"), N_("reads the whole directory")),
    "Directory.ReadWrite.All": (N_("changes the directory"), N_("changes almost everything in the directory")),
    "Application.ReadWrite.All": (
        N_("changes applications"),
        N_("changes every application, and can add credentials to it: it can become any of them"),
    ),
    "AppRoleAssignment.ReadWrite.All": (
        N_("assigns application permissions"),
        N_("grants any application any permission, itself included"),
    ),
    "RoleManagement.ReadWrite.Directory": (
        N_("assigns directory roles"),
        N_("makes anybody an administrator, itself included"),
    ),
}
_DELEGATED = "delegated permission"  # as the Entra connector writes it
_TIERS: Mapping[str, str] = {
    "control_plane": N_("can change who may do what, or become somebody else"),
    "write": N_("can change or delete data"),
    "sensitive_read": N_("can read sensitive data"),
    "read": N_("can read"),
    "unknown": N_("what it allows is not known"),
}


def grant(row: Mapping[str, Any]) -> str:
    """One grant in one line: what it allows, where, by way of what, under a condition."""
    permission = row["permission"]
    phrases = _PHRASES.get(permission)
    tenant_wide = row.get("tenant_wide")
    if phrases and tenant_wide is not None:
        # A delegated permission acts as whoever signs in, even where it was consented for everybody.
        everybody = tenant_wide and row.get("via") != _DELEGATED
        what = _(phrases[1] if everybody else phrases[0])
    else:
        what = _(_TIERS.get(row["tier"], _TIERS["unknown"]))
    if row["effect"] == "deny":
        what = _("is forbidden: %(what)s") % {"what": permission}
    said = f"{permission}: {what}"
    if row.get("resource") and row["resource"] != "*":
        said += " " + _("on %(resource)s") % {"resource": row["resource"]}
    if tenant_wide:
        said += f" ({_('tenant-wide')})"
    if row.get("condition"):
        said += " " + _("under a condition")
    if row.get("via"):
        said += " " + _("by way of %(via)s") % {"via": row["via"]}
    return said
