"""The custom resources of packaging/kubernetes and of the pages: which fields they have."""

import re

# {"key": schema}, "key!" is required, EITHER: one of these keys is; [schema]; (allowed values); a pattern; a type.
# Required is what the kind requires, and that without which it is of no use.
EITHER = object()
LABELS = {"matchLabels!": {str: str}}
NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
DURATION = re.compile(r"([0-9]+(ms|[smhdwy]))+")
CUSTOM = {
    ("kustomize.config.k8s.io/v1beta1", "Kustomization"): {
        "namespace": NAME, "resources!": [str], "configMapGenerator": [{"name!": NAME, "files!": [str]}],
        "images": [{"name!": str, "newName": str, "newTag": str, EITHER: ("newName", "newTag")}]},
    ("cilium.io/v2alpha1", "CiliumLoadBalancerIPPool"): {
        "metadata!": {"name!": NAME},
        "spec!": {"blocks!": [{"start": str, "stop": str, "cidr": str, EITHER: ("start", "cidr")}],
                  "serviceSelector": LABELS, "disabled": bool, "allowFirstLastIPs": ("Yes", "No")}},
    ("cilium.io/v2alpha1", "CiliumL2AnnouncementPolicy"): {
        "metadata!": {"name!": NAME},
        "spec!": {"serviceSelector": LABELS, "nodeSelector": LABELS, "interfaces": [str],
                  "externalIPs": bool, "loadBalancerIPs": bool, EITHER: ("externalIPs", "loadBalancerIPs")}},
    ("monitoring.coreos.com/v1", "ServiceMonitor"): {
        "metadata!": {"name!": NAME},
        "spec!": {"jobLabel": str, "selector!": LABELS,
                  "endpoints!": [{"port!": str, "path": str, "interval": DURATION, "scheme": ("http", "https")}]}},
    ("argoproj.io/v1alpha1", "Application"): {
        "metadata!": {"name!": NAME, "namespace": NAME},
        "spec!": {"project!": str, "source!": {"repoURL!": str, "targetRevision": str, "path!": str},
                  "destination!": {"server": str, "name": str, "namespace": NAME, EITHER: ("server", "name")},
                  "syncPolicy": {"automated": {"prune": bool, "selfHeal": bool},
                                 "syncOptions": [re.compile(r"[A-Z]\w+=\w+")]}}},
}

# Of programs beside us, on pages only.
DOCUMENTED = {
    ("cert-manager.io/v1", "ClusterIssuer"): {
        "metadata!": {"name!": NAME},
        "spec!": {"acme!": {
            "server!": re.compile(r"https://[a-z0-9.-]+/\S+"), "email": re.compile(r"\S+@\S+"),
            "privateKeySecretRef!": {"name!": NAME},
            "solvers!": [{"dns01!": {"cloudflare!": {"apiTokenSecretRef!": {"name!": NAME, "key!": str}}},
                          "selector": {"dnsZones": [NAME], "dnsNames": [str]}}]}}},
    ("cert-manager.io/v1", "Certificate"): {
        "metadata!": {"name!": NAME, "namespace": NAME},
        "spec!": {"secretName!": NAME, "issuerRef!": {"name!": NAME, "kind": ("Issuer", "ClusterIssuer")},
                  "dnsNames": [re.compile(r"(\*\.)?" + NAME.pattern)], "commonName": str, "ipAddresses": [str],
                  EITHER: ("dnsNames", "commonName", "ipAddresses"), "duration": DURATION, "renewBefore": DURATION,
                  "privateKey": {"algorithm": ("RSA", "ECDSA", "Ed25519"), "size": int,
                                 "rotationPolicy": ("Never", "Always"), "encoding": ("PKCS1", "PKCS8")}}},
}


def custom_problems(value, schema, where):
    """What does not fit into a schema as CUSTOM has them."""
    if isinstance(schema, list):
        if not isinstance(value, list) or not value:
            return [f"{where}: a list is wanted"]
        return [found for i, one in enumerate(value)
                for found in custom_problems(one, schema[0], f"{where}[{i}]")]
    if isinstance(schema, dict):
        return mapping_problems(value, schema, where)
    if isinstance(schema, tuple):
        return [] if value in schema else [f"{where}: {value!r} is none of {schema}"]
    if isinstance(schema, re.Pattern):
        fits = isinstance(value, str) and schema.fullmatch(value)
        return [] if fits else [f"{where}: {value!r} is not like {schema.pattern}"]
    return [] if type(value) is schema else [f"{where}: {value!r} is no {schema.__name__}"]


def mapping_problems(value, schema, where):
    if not isinstance(value, dict):
        return [f"{where}: a mapping is wanted"]
    if str in schema:
        return [found for key in value for found in custom_problems(value[key], schema[str], f"{where}.{key}")]
    fields = {key.rstrip("!"): one for key, one in schema.items() if key is not EITHER}
    found = [f"{where}.{key}: no such field" for key in value if key not in fields]
    found += [f"{where}.{key[:-1]}: is required" for key in schema
              if key is not EITHER and key.endswith("!") and key[:-1] not in value]
    if EITHER in schema and not any(value.get(key) for key in schema[EITHER]):
        found.append(f"{where}: one of {schema[EITHER]} is required")
    return found + [one for key in value if key in fields
                    for one in custom_problems(value[key], fields[key], f"{where}.{key}")]


def resource_problems(document):
    """What is wrong with a custom resource; also when it is of a kind that nobody wrote down here."""
    where = document["kind"]
    schema = {**CUSTOM, **DOCUMENTED}.get((document["apiVersion"], where))
    if schema is None:
        return [f"{where}: no schema for this of {document['apiVersion']}"]
    return custom_problems(document, {"apiVersion!": str, "kind!": str, **schema}, where)
