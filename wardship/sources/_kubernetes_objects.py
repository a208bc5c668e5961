"""What a Kubernetes object that was created or changed says about privilege: the few fields that detections ask for.

Shared by the audit log of Kubernetes itself and by Google's, which carries the same objects as requests. Values of
secrets and config maps, environments and commands' output are never read; of a command only its words are kept, cut.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from wardship.sources._record import MAX_LIST, at, child, children, flag, host_of, text, texts

_SUBJECT = re.compile(r"[\w.:@/+-]{1,200}")
_MAPPED = re.compile(r"(?:rolearn|userarn|username): *[\"']?([\w+=,.@:/{}-]{1,200})")
_GROUP = re.compile(r"- *(system:[a-z:-]{1,60})")
_TOLD_OF_A_POD = {"serviceAccountName", "hostNetwork", "hostPID", "hostIPC"}


def privileges(resource: str, body: Any) -> dict[str, Any]:
    """Of the object in `body` ("requestObject"), of that resource ("clusterrolebindings"); {}: nothing to tell."""
    if not isinstance(body, dict):
        return {}
    if resource in ("rolebindings", "clusterrolebindings"):
        return _binding(body)
    if resource in ("roles", "clusterroles"):
        return _role(body)
    if resource in ("mutatingwebhookconfigurations", "validatingwebhookconfigurations"):
        hosts = [host_of(text(hook, "clientConfig.url")) for hook in children(body, "webhooks")[:MAX_LIST]]
        return {"webhook_hosts": [host for host in hosts if host]}
    if resource == "configmaps" and text(body, "metadata.name") == "aws-auth":
        return _aws_auth(body)
    if resource == "secrets":
        return {
            "secret_type": text(body, "type"),
            "service_account": child(body, "metadata.annotations").get("kubernetes.io/service-account.name"),
        }
    if resource == "serviceaccounts":
        return {"audiences": texts(body, "spec.audiences"), "expires_s": at(body, "spec.expirationSeconds")}
    if resource == "services":
        return {"service_type": text(body, "spec.type")}
    if resource == "certificatesigningrequests":
        return {"signer": text(body, "spec.signerName"), "groups": texts(body, "spec.groups")}
    return _workload(body)


def _binding(body: dict[str, Any]) -> dict[str, Any]:
    return {
        "role": text(body, "roleRef.name"),
        "role_kind": text(body, "roleRef.kind"),
        "subjects": list(_subjects(children(body, "subjects")))[:MAX_LIST],
    }


def _subjects(entries: Iterable[dict[str, Any]]) -> Iterable[str]:
    """ "ServiceAccount:kube-system/deployer", "Group:system:unauthenticated"."""
    for entry in entries:
        kind, name, space = text(entry, "kind") or "?", text(entry, "name") or "?", text(entry, "namespace")
        said = f"{kind}:{space}/{name}" if space and kind == "ServiceAccount" else f"{kind}:{name}"
        if _SUBJECT.fullmatch(said):
            yield said


def _role(body: dict[str, Any]) -> dict[str, Any]:
    """The rules as "verbs resources" pairs: "get,list secrets"."""
    told = []
    for rule in children(body, "rules")[:MAX_LIST]:
        what = texts(rule, "resources") or texts(rule, "nonResourceURLs")
        told.append(f"{','.join(texts(rule, 'verbs'))} {','.join(what)}"[:200])
    return {"rules": told}


def _aws_auth(body: dict[str, Any]) -> dict[str, Any]:
    """Who EKS lets in by the config map aws-auth: ARNs, names and the system groups they get."""
    maps = " \n".join(
        found for name in ("mapRoles", "mapUsers") if (found := at(body, f"data.{name}")) and isinstance(found, str)
    )
    return {
        "mapped": list(dict.fromkeys(_MAPPED.findall(maps[:50_000])))[:MAX_LIST],
        "groups": list(dict.fromkeys(_GROUP.findall(maps[:50_000])))[:MAX_LIST],
    }


def _workload(body: dict[str, Any]) -> dict[str, Any]:
    """Of a pod, or of the template in a deployment, daemon set, job or cron job: what lets it out of its box."""
    spec = (
        child(body, "spec.jobTemplate.spec.template.spec") or child(body, "spec.template.spec") or child(body, "spec")
    )
    boxes = [one for name in ("containers", "initContainers", "ephemeralContainers") for one in children(spec, name)]
    if not boxes and not spec.keys() & _TOLD_OF_A_POD:  # a patch says only what changes
        return {}
    added = [found for box in boxes for found in texts(box, "securityContext.capabilities.add")]
    paths = [path for volume in children(spec, "volumes") if (path := text(volume, "hostPath.path"))]
    found = {
        "privileged": any(flag(box, "securityContext.privileged") for box in boxes) or None,
        "host_network": flag(spec, "hostNetwork") or None,
        "host_pid": flag(spec, "hostPID") or None,
        "host_ipc": flag(spec, "hostIPC") or None,
        "host_paths": list(dict.fromkeys(paths))[:MAX_LIST],
        "capabilities": list(dict.fromkeys(added))[:MAX_LIST],
        "service_account": text(spec, "serviceAccountName"),
        "images": list(dict.fromkeys(image for box in boxes if (image := text(box, "image"))))[:5],
    }
    return {name: value for name, value in found.items() if value}
