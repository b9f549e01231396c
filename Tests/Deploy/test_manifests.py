"""What must fit together in the Kubernetes manifests and the systemd unit."""

import pathlib
import re
import shutil
import subprocess
import unittest

try:
    import yaml
except ImportError:
    yaml = None

DEPLOY = pathlib.Path(__file__).resolve().parents[2] / "deploy"


def seconds(arguments):
    return int(arguments[arguments.index("--drain") + 1])


@unittest.skipIf(yaml is None, "needs python3-yaml")
class KubernetesTests(unittest.TestCase):
    def setUp(self):
        documents = list(yaml.safe_load_all((DEPLOY / "kubernetes" / "gemma3n.yaml").read_text()))
        self.of_kind = {kind: [document for document in documents if document["kind"] == kind]
                        for kind in {document["kind"] for document in documents}}
        self.deployment = self.of_kind["Deployment"][0]["spec"]
        self.pod = self.deployment["template"]["spec"]
        self.container = self.pod["containers"][0]

    def test_selectors_find_the_pods(self):
        labels = self.deployment["template"]["metadata"]["labels"]
        self.assertEqual(self.deployment["selector"]["matchLabels"], labels)
        for service in self.of_kind["Service"]:
            self.assertEqual(service["spec"]["selector"], labels)
        self.assertEqual(self.of_kind["PodDisruptionBudget"][0]["spec"]["selector"]["matchLabels"], labels)

    def test_ports_and_probes(self):
        port = self.container["args"][self.container["args"].index("--port") + 1]
        self.assertEqual(self.container["ports"], [{"name": "http", "containerPort": int(port)}])
        probes = {name: self.container[name]["httpGet"] for name in ["startupProbe", "livenessProbe", "readinessProbe"]}
        self.assertEqual({name: probe["path"] for name, probe in probes.items()},
                         {"startupProbe": "/health", "livenessProbe": "/health", "readinessProbe": "/ready"})
        self.assertTrue(all(probe["port"] == "http" for probe in probes.values()))

    def test_there_is_time_to_drain(self):
        pause = self.container["lifecycle"]["preStop"]["sleep"]["seconds"]
        probe = self.container["readinessProbe"]
        self.assertGreater(self.pod["terminationGracePeriodSeconds"], pause + seconds(self.container["args"]))
        self.assertGreater(pause, probe["periodSeconds"] * probe["failureThreshold"])


class SystemdTests(unittest.TestCase):
    unit = DEPLOY / "systemd" / "gemma3n.service"

    def test_there_is_time_to_drain(self):
        text = self.unit.read_text()
        start = re.search(r"^ExecStart=(.*)$", text, re.MULTILINE)[1].split()
        self.assertGreater(int(re.search(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)[1]), seconds(start))

    @unittest.skipUnless(shutil.which("systemd-analyze"), "needs systemd-analyze")
    def test_unit_is_valid_and_its_rights_are_few(self):
        verified = subprocess.run(["systemd-analyze", "verify", "--man=no", self.unit], capture_output=True, text=True)
        # The program is not installed here; all else counts.
        complaints = [line for line in verified.stderr.splitlines() if self.unit.name in line and "is not executable" not in line]
        self.assertEqual(complaints, [])
        found = subprocess.run(["systemd-analyze", "security", "--offline=yes", self.unit], capture_output=True, text=True)
        exposure = float(re.search(r"Overall exposure level.*?: ([\d.]+)", found.stdout)[1])
        self.assertLess(exposure, 2.0)


if __name__ == "__main__":
    unittest.main()
