"""packaging/kubernetes against the API's own models (python3-kubernetes), which know every field and its
type, and against what the files say to each other. Custom resources have their fields in custom_resources.py."""

import copy
import ipaddress
import pathlib
import re
import tempfile
import tomllib
import unittest

import yaml
from kubernetes import client

import docs_test
from custom_resources import CUSTOM, resource_problems
from lab import Case, run

FOLDER = pathlib.Path(__file__).parents[2] / "packaging" / "kubernetes"

# What the addresses of the network serve: gateway and PostgreSQL; 53 and QUIC, which is refused, are ours.
PORTS = {
    "192.168.10.49": {(80, "TCP"), (443, "TCP")},
    "192.168.10.50": {(80, "TCP"), (443, "TCP"), (5432, "TCP"), (443, "UDP"), (53, "UDP"), (53, "TCP")},
}


def documents(path):
    return [one for one in yaml.safe_load_all(path.read_text(encoding="utf-8")) if one]


SIMPLE = {"str": str, "bool": bool, "int": int, "float": (int, float)}


def problems(value, kind, where):
    """The same for a type as the models name it: 'V1PodSpec', 'list[str]', 'dict(str, str)', 'int'."""
    inner = re.match(r"list\[(.+)\]$", kind)
    if inner:
        if not isinstance(value, list):
            return [f"{where}: a list is wanted"]
        return [found for i, one in enumerate(value)
                for found in problems(one, inner[1], f"{where}[{i}]")]
    inner = re.match(r"dict\(str, (.+)\)$", kind)
    if inner:
        return [found for key, one in value.items() for found in problems(one, inner[1], f"{where}.{key}")]
    if kind == "object":  # a number or a text
        return [] if isinstance(value, (int, str)) else [f"{where}: {value!r}"]
    if kind in SIMPLE:
        fits = isinstance(value, SIMPLE[kind]) and (kind == "bool") == isinstance(value, bool)
        return [] if fits else [f"{where}: {value!r} is no {kind}"]
    model = getattr(client, kind)
    names = {json: name for name, json in model.attribute_map.items()}
    found = [f"{where}.{key}: no such field" for key in value if key not in names]
    known = {names[key]: one for key, one in value.items() if key in names}
    for name, one in known.items():
        found += problems(one, model.openapi_types[name], f"{where}.{model.attribute_map[name]}")
    try:
        model(**known)  # knows what is required, and some limits
    except ValueError as error:
        found.append(f"{where}: {error}")
    return found


def model_of(document):
    group, _, version = document["apiVersion"].rpartition("/")
    return version.title() + document["kind"] if group in ("", "apps", "policy") else ""


def validate(document):
    where = document["kind"]
    if (document["apiVersion"], document["kind"]) in CUSTOM:
        return resource_problems(document)
    kind = model_of(document)
    return problems(document, kind, where) if hasattr(client, kind) else [f"{where}: no such apiVersion"]


class Kubernetes(Case):
    def setUp(self):
        self.kustomization, = documents(FOLDER / "kustomization.yaml")
        self.all = [one for name in self.kustomization["resources"] for one in documents(FOLDER / name)]
        self.deployment = self.one("Deployment")
        self.pod = self.deployment["spec"]["template"]
        self.container, = self.pod["spec"]["containers"]
        self.config = tomllib.loads((FOLDER / "postern.toml").read_text(encoding="utf-8"))

    def one(self, kind, name="postern"):
        found, = [one for one in self.all if (one["kind"], one["metadata"]["name"]) == (kind, name)]
        return found

    def services(self):
        return [one for one in self.all if one["kind"] == "Service"]

    def test_every_document_fits_its_schema(self):
        files = sorted(FOLDER.rglob("*.yaml"))
        self.assertGreaterEqual(len(files), 8)
        for path in files:
            for document in documents(path):
                self.assertEqual(validate(document), [], path.name)

    def test_mistakes_would_be_seen(self):
        def wrong(kind, change):
            document = copy.deepcopy(self.one(kind))
            change(document["spec"])
            return validate(document)
        pod = lambda spec: spec["template"]["spec"]
        self.assertTrue(wrong("Deployment", lambda spec: pod(spec).update(securityContxt={})))
        self.assertTrue(wrong("Deployment", lambda spec: spec.update(replicas="2")))
        self.assertTrue(wrong("Deployment", lambda spec: spec.pop("selector")))
        self.assertTrue(wrong("Deployment", lambda spec: pod(spec)["securityContext"].update(runAsUser=True)))
        self.assertTrue(wrong("Deployment", lambda spec: pod(spec)["securityContext"]["sysctls"][0].update(
            value=0)))
        self.assertTrue(wrong("CiliumLoadBalancerIPPool", lambda spec: spec.update(block=[])))
        self.assertTrue(wrong("ServiceMonitor", lambda spec: spec["endpoints"][0].update(port=9153)))

    def test_an_empty_custom_resource_is_refused(self):
        application, = documents(FOLDER / "argocd" / "application.yaml")
        resources = {one["kind"]: one for one in (*self.all, application, self.kustomization)
                     if (one["apiVersion"], one["kind"]) in CUSTOM}
        self.assertEqual(sorted(resources), sorted(kind for _, kind in CUSTOM))
        wanted = {"Kustomization": ["resources"], "CiliumLoadBalancerIPPool": ["blocks"],
                  "CiliumL2AnnouncementPolicy": ["('externalIPs', 'loadBalancerIPs')"],
                  "ServiceMonitor": ["selector", "endpoints"],
                  "Application": ["project", "source", "destination"]}
        for kind, whole in resources.items():
            empty = {"apiVersion": whole["apiVersion"], "kind": kind}
            if kind != "Kustomization":
                empty.update(metadata=whole["metadata"], spec={})
            found = validate(empty)
            self.assertEqual(len(found), len(wanted[kind]), found)
            for problem, name in zip(found, wanted[kind]):
                self.assertIn(name, problem)
                self.assertIn("is required", problem)
            if kind != "Kustomization":
                without = {key: value for key, value in whole.items() if key != "spec"}
                self.assertEqual(validate(without), [f"{kind}.spec: is required"])
            self.assertEqual(validate({**whole, "apiVersion": "v2"}), [f"{kind}: no such apiVersion"])

    def test_values_that_a_custom_resource_does_not_have_are_refused(self):
        application, = documents(FOLDER / "argocd" / "application.yaml")
        monitor, pool, policy = (self.one(kind) for kind in (
            "ServiceMonitor", "CiliumLoadBalancerIPPool", "CiliumL2AnnouncementPolicy"))
        for document, place, value in (
                (monitor, ("endpoints", 0, "scheme"), "ftp"), (monitor, ("endpoints", 0, "interval"), "30"),
                (monitor, ("endpoints",), []), (monitor, ("selector",), {}),
                (pool, ("allowFirstLastIPs",), True), (pool, ("blocks", 0), {"stop": "192.168.10.50"}),
                (policy, ("loadBalancerIPs",), False), (policy, ("loadBalancerIPs",), "true"),
                (application, ("destination",), {"namespace": "postern"}), (application, ("source",), {"path": "x"}),
                (application, ("syncPolicy", "syncOptions", 0), "CreateNamespace")):
            wrong = copy.deepcopy(document)
            at = wrong["spec"]
            for key in place[:-1]:
                at = at[key]
            at[place[-1]] = value
            self.assertEqual(len(validate(wrong)), 1, (document["kind"], place, value))

    def test_mistakes_on_a_page_would_be_seen(self):
        page = next(path for path in docs_test.PAGES if path.name == "cert-manager.md")
        documented = {one["kind"]: one for _, language, text in docs_test.blocks(page)
                      if language == "yaml" for one in yaml.safe_load_all(text)}
        self.assertEqual({kind: resource_problems(one) for kind, one in documented.items()},
                         {"ClusterIssuer": [], "Certificate": []})

        def wrong(kind, before, after):
            text = yaml.safe_dump(documented[kind])
            self.assertIn(before, text)
            return resource_problems(yaml.safe_load(text.replace(before, after)))
        self.assertEqual(wrong("Certificate", "dnsNames:", "dnsName:"), [
            "Certificate.spec.dnsName: no such field",
            "Certificate.spec: one of ('dnsNames', 'commonName', 'ipAddresses') is required"])
        for kind, before, after in (
                ("Certificate", "secretName:", "secret:"), ("Certificate", "ClusterIssuer", "ClusterIsuer"),
                ("Certificate", "ECDSA", "ECSDA"), ("Certificate", "cert-manager.io/v1", "cert-manager.io/v1alpha2"),
                ("ClusterIssuer", "privateKeySecretRef", "privateKeySecret"), ("ClusterIssuer", "https:", "htps:"),
                ("ClusterIssuer", "dns01", "dns"), ("ClusterIssuer", "key: api", "keys: api"),
                ("ClusterIssuer", "dnsZones", "dnsZone")):
            self.assertNotEqual(wrong(kind, before, after), [], after)

    def test_the_kustomization_names_every_file(self):
        named = {*self.kustomization["resources"], "kustomization.yaml"}
        self.assertEqual({path.name for path in FOLDER.glob("*.yaml")}, named)
        generator, = self.kustomization["configMapGenerator"]
        for file in generator["files"]:
            self.assertTrue((FOLDER / file).exists(), file)
        self.assertEqual([image["name"] for image in self.kustomization["images"]],
                         [self.container["image"]])

    def test_selectors_lead_to_the_pods(self):
        labels = self.pod["metadata"]["labels"].items()
        self.assertLessEqual(self.deployment["spec"]["selector"]["matchLabels"].items(), labels)
        self.assertLessEqual(self.one("PodDisruptionBudget")["spec"]["selector"]["matchLabels"].items(), labels)
        for service in self.services():
            self.assertLessEqual(service["spec"]["selector"].items(), labels)
        monitor = self.one("ServiceMonitor")["spec"]
        watched, = self.watched(monitor)
        self.assertIn(monitor["endpoints"][0]["port"], [port["name"] for port in watched["spec"]["ports"]])

    def test_the_job_is_the_one_that_the_alerts_ask_for(self):
        """The operator names the job by the label jobLabel of the Service; without one, by the Service."""
        monitor = self.one("ServiceMonitor")["spec"]
        watched, = self.watched(monitor)
        job = watched["metadata"]["labels"].get(monitor.get("jobLabel"), watched["metadata"]["name"])
        rules = (FOLDER.parent / "prometheus" / "postern.rules.yml").read_text(encoding="utf-8")
        self.assertEqual(set(re.findall(r'\bjob="([^"]*)"', rules)), {job})

    def watched(self, monitor):
        return [one for one in self.services() if monitor["selector"]["matchLabels"].items()
                <= one["metadata"]["labels"].items()]

    @staticmethod
    def ports_of(listener):
        if "tcp" in listener:
            return {(listener["tcp"], "TCP")}
        https = listener.get("https", 443)
        found = {(listener.get("http", 80), "TCP")} | ({(https, "TCP")} if https else set())
        return found | ({(https, "UDP")} if https and listener.get("quic") != "ignore" else set())

    def test_the_addresses_have_the_ports_of_the_network(self):
        found = {service["metadata"]["annotations"]["lbipam.cilium.io/ips"]:
                 {(port["port"], port["protocol"]) for port in service["spec"]["ports"]}
                 for service in self.services() if service["spec"].get("type") == "LoadBalancer"}
        self.assertEqual(found, PORTS)

    def test_every_service_of_the_network_has_a_route(self):
        backends = {re.match(r"http://([\w-]+)\.", backend["url"])[1]: set(route["listeners"])
                    for route in self.config["gateway"]["route"] for backend in route["backends"]}
        self.assertEqual(backends, {"argocd-server": {"internal", "external"}, "ollama-webui": {"internal"},
                                    "immich": {"internal"}})
        relayed = [listener for listener in self.config["gateway"]["listener"] if "tcp" in listener]
        self.assertEqual([(one["tcp"], one["backends"]) for one in relayed],
                         [(5432, ["postgres.database.svc.cluster.local:5432"])])

    def test_ports_lead_to_what_the_configuration_listens_on(self):
        ports = {port["name"]: (port["containerPort"], port["protocol"]) for port in self.container["ports"]}
        listening = {(int(self.config["server"]["admin"].split(":")[1]), "TCP")}
        for place in self.config["dns"]["listen"]:
            listening |= {(int(place.split(":")[1]), protocol) for protocol in ("TCP", "UDP")}
        for listener in self.config["gateway"]["listener"]:
            listening |= self.ports_of(listener)
        self.assertEqual(set(ports.values()), listening)
        for service in self.services():
            for port in service["spec"]["ports"]:
                self.assertEqual(ports[port["targetPort"]][1], port["protocol"], service["metadata"]["name"])
        for probe, path in (("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
            self.assertEqual(self.container[probe]["httpGet"], {"path": path, "port": "admin"})

    def test_a_pod_that_ends_has_time_for_what_is_under_way(self):
        word, seconds = self.container["lifecycle"]["preStop"]["exec"]["command"]
        self.assertEqual(word, "sleep")
        drain = 30  # as the server says in its log when it has listeners
        self.assertLess(int(seconds) + drain, self.pod["spec"]["terminationGracePeriodSeconds"])

    def test_the_addresses_are_in_the_pool_and_in_the_configuration(self):
        block, = self.one("CiliumLoadBalancerIPPool")["spec"]["blocks"]
        pool = [ipaddress.ip_address(block[end]) for end in ("start", "stop")]
        given = {}
        for service in self.services():
            if service["spec"].get("type") != "LoadBalancer":
                continue
            address = service["metadata"]["annotations"]["lbipam.cilium.io/ips"]
            self.assertTrue(pool[0] <= ipaddress.ip_address(address) <= pool[1], address)
            for kind in ("CiliumLoadBalancerIPPool", "CiliumL2AnnouncementPolicy"):
                self.assertLessEqual(self.one(kind)["spec"]["serviceSelector"]["matchLabels"].items(),
                                     service["metadata"]["labels"].items())
            given[service["metadata"]["name"]] = address
        self.assertEqual(given, {"postern-internal": "192.168.10.50", "postern-external": "192.168.10.49"})
        self.assertEqual(self.config["dns"]["override"][0]["address"], [given["postern-internal"]])

    def test_a_pod_has_no_rights_and_writes_nowhere(self):
        spec, context = self.pod["spec"], self.container["securityContext"]
        self.assertTrue(spec["securityContext"]["runAsNonRoot"])
        self.assertTrue(context["readOnlyRootFilesystem"])
        self.assertEqual(context["capabilities"], {"drop": ["ALL"]})
        self.assertFalse(context["allowPrivilegeEscalation"])
        self.assertGreaterEqual(self.deployment["spec"]["replicas"], 2)
        volumes = {volume["name"] for volume in spec["volumes"]}
        self.assertEqual({mount["name"] for mount in self.container["volumeMounts"]}, volumes)

    def test_the_configuration_passes_check(self):
        with tempfile.TemporaryDirectory() as directory:
            folder = pathlib.Path(directory)
            text = (FOLDER / "postern.toml").read_text(encoding="utf-8").replace('"/tls/', f'"{directory}/')
            for name, content in (("postern.toml", text),
                                  ("home.arpa.zone", (FOLDER / "home.arpa.zone").read_text(encoding="utf-8")),
                                  *zip(("tls.crt", "tls.key"), docs_test.certificate())):
                (folder / name).write_text(content, encoding="utf-8")
            status, out, err = run("check", "-c", folder / "postern.toml")
        self.assertEqual(status, 0, out + err)
        # The certificate is that of the test; in a cluster, probes and Prometheus need no token.
        warnings = [line for line in (out + err).splitlines() if ": warning: " in line
                    and " expires in " not in line and "admin_token_file" not in line]
        self.assertEqual(warnings, [])


if __name__ == "__main__":
    unittest.main()
