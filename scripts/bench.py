#!/usr/bin/env python3
"""How long Terraform takes to find out that nothing has changed, and how much memory the provider needs for it.

Three configurations, each applied once and then planned again and again, in turn:

    terraform    three terraform_data objects: what Terraform itself costs
    podidentity  the role, agent add-on and association of examples/complete
    aws          the same objects with hashicorp/aws, if PODIDENTITY_AWS_PROVIDER_MIRROR names a filesystem
                 mirror that holds it

All talk to one local sandbox, so that no network is in the figures. Providers are installed by
`terraform init` from a mirror, as users have them. `make bench` builds what this needs.
"""

import argparse
import collections
import json
import os
import pathlib
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
OURS = "registry.terraform.io/podidentity/podidentity"
AWS = "registry.terraform.io/hashicorp/aws"
AWS_VERSION = "5.100.0"

TERRAFORM_DATA = """
resource "terraform_data" "role" {}
resource "terraform_data" "agent" {}
resource "terraform_data" "association" {
  input = terraform_data.role.id
}
"""

AWS_CONFIGURATION = """
terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "%s"
    }
  }
}

resource "aws_iam_role" "payments" {
  name = "payments-aws"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "pods.eks.amazonaws.com" }
      Action    = ["sts:AssumeRole", "sts:TagSession"]
    }]
  })
}

resource "aws_iam_role_policy_attachment" "payments" {
  role       = aws_iam_role.payments.name
  policy_arn = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
}

resource "aws_eks_addon" "agent" {
  cluster_name = "aws"
  addon_name   = "eks-pod-identity-agent"
}

resource "aws_eks_pod_identity_association" "payments" {
  cluster_name    = "aws"
  namespace       = "payments"
  service_account = "api"
  role_arn        = aws_iam_role.payments.arn
}
""" % AWS_VERSION

# Stands in for a provider while memory is measured: runs the real one and notes its peak. Not used while time is.
PROBE = """\
#!{python}
import os, sys, threading, time
pid = os.posix_spawn({real!r}, [{real!r}, *sys.argv[1:]], os.environ)
peak = 0
done = False
def watch():
    global peak
    while not done:
        try:
            with open(f"/proc/{{pid}}/status") as status:
                for line in status:
                    if line.startswith("VmHWM:"):
                        peak = max(peak, int(line.split()[1]))
        except OSError:
            pass
        time.sleep(0.001)
thread = threading.Thread(target=watch, daemon=True)
thread.start()
_, status, usage = os.wait4(pid, 0)
done = True
# Where there is no /proc, what the kernel counted; it never says less than this script's own size.
if not peak:
    peak = usage.ru_maxrss // (1024 if sys.platform == "darwin" else 1)
with open({log!r}, "a") as log:
    log.write(f"{{peak}}\\n")
os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
"""


class Failure(Exception):
    """The message says what to do."""


class Sandbox:
    def __init__(self, binary):
        command = [binary, "--listen", "127.0.0.1:0", "--parent-watch", "--cluster", "demo", "--cluster", "aws"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise Failure("the sandbox did not start")
        self.ready = json.loads(line)
        self.endpoint = self.ready["aws_endpoint"]

    def control(self, method, path):
        request = urllib.request.Request(f"{self.endpoint}/_sandbox/{path}", method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=10) as response:
            return json.loads(response.read() or b"null")


class Contestant:
    """A configuration in a directory of its own."""

    def __init__(self, name, directory, configuration, mirror, environment, terraform):
        self.name = name
        self.directory = directory / name
        self.directory.mkdir()
        (self.directory / "main.tf").write_text(configuration)
        settings = self.directory / "terraform.rc"
        inside = f'  filesystem_mirror {{\n    path = "{mirror}"\n  }}\n' if mirror else ""
        settings.write_text(f"provider_installation {{\n{inside}}}\n")
        self.environment = {**environment, "TF_CLI_CONFIG_FILE": str(settings)}
        self.terraform = terraform
        self.seconds = []
        self.peaks = []
        self.calls = {}

    def run(self, *arguments, expect=0):
        started = time.perf_counter()
        process = subprocess.run(
            [self.terraform, *arguments], cwd=self.directory, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        seconds = time.perf_counter() - started
        if process.returncode != expect:
            raise Failure(f"{self.name}: terraform {' '.join(arguments)} ended with {process.returncode}:\n{process.stdout}{process.stderr}")
        return seconds

    def prepare(self):
        self.run("init", "-no-color")
        self.run("apply", "-no-color", "-auto-approve")
        self.plan()

    def plan(self):
        """One plan that finds nothing to do."""
        return self.run("plan", "-no-color", "-detailed-exitcode")

    def measure_memory(self, source, runs):
        """Peak of every provider process of some plans, in KiB."""
        installed = [path for path in (self.directory / ".terraform" / "providers" / source).glob("*/*/terraform-provider-*")]
        if len(installed) != 1:
            raise Failure(f"{self.name}: expected one installed provider, found {installed}")
        real = installed[0].resolve()
        log = self.directory / "peaks"
        override = self.directory / "override"
        override.mkdir()
        probe = override / re.sub(r"_.*", "", real.name)
        probe.write_text(PROBE.format(python=sys.executable, real=str(real), log=str(log)))
        probe.chmod(0o755)
        settings = self.directory / "probe.rc"
        settings.write_text(f'provider_installation {{\n  dev_overrides {{\n    "{source}" = "{override}"\n  }}\n  direct {{}}\n}}\n')
        usual = self.environment
        self.environment = {**usual, "TF_CLI_CONFIG_FILE": str(settings)}
        for _ in range(runs):
            self.plan()
        self.environment = usual
        self.peaks = [int(line) for line in log.read_text().split()]


def median(values):
    return statistics.median(values)


def host():
    model = platform.processor() or platform.machine()
    try:
        model = re.search(r"^model name\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M).group(1)
    except (OSError, AttributeError):
        pass
    return f"{os.cpu_count()} x {model}, {platform.system()} {platform.release()}"


def report(contestants, version, runs):
    base = contestants[0]
    print(f"\n{host()}")
    print(f"Terraform {version}; {runs} plans each, in turn; seconds of wall time\n")
    print(f"{'':12} {'median':>8} {'min':>8} {'max':>8} {'above terraform':>16} {'peak memory':>12}  AWS calls per plan")
    for contestant in contestants:
        seconds = contestant.seconds
        above = "" if contestant is base else f"{median(seconds) - median(base.seconds):.3f}"
        memory = f"{max(contestant.peaks) / 1024:.1f} MiB" if contestant.peaks else ""
        calls = ", ".join(f"{name} x{count}" if count > 1 else name for name, count in contestant.calls.items())
        total = sum(contestant.calls.values())
        print(f"{contestant.name:12} {median(seconds):8.3f} {min(seconds):8.3f} {max(seconds):8.3f} {above:>16} {memory:>12}  {total}{': ' + calls if calls else ''}")
    found = {contestant.name: contestant for contestant in contestants}
    if "aws" not in found:
        print(f"\nhashicorp/aws was not measured: PODIDENTITY_AWS_PROVIDER_MIRROR names no mirror with version {AWS_VERSION}.")
        return
    ours, theirs, terraform = (median(found[name].seconds) for name in ("podidentity", "aws", "terraform"))
    print(f"\nWhole plan:                hashicorp/aws takes {theirs / ours:.1f} times as long")
    # Below the clock's noise a ratio means nothing.
    share = max(ours - terraform, 0.001)
    print(f"Without Terraform's share: hashicorp/aws takes {(theirs - terraform) / share:.1f} times as long")
    print(f"Memory:                    hashicorp/aws takes {max(found['aws'].peaks) / max(found['podidentity'].peaks):.1f} times as much")


def write_mirror(provider, directory):
    version = re.search(r'^version = "(.+)"$', (ROOT / "Cargo.toml").read_text(), re.M).group(1)
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    place = directory / "mirror" / OURS / version / f"{platform.system().lower()}_{machine}"
    place.mkdir(parents=True)
    shutil.copy(provider, place / f"terraform-provider-podidentity_v{version}")
    return directory / "mirror"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15, help="plans per configuration (default 15)")
    parser.add_argument("--memory-runs", type=int, default=3, help="further plans with memory watched (default 3)")
    parser.add_argument("--release-dir", type=pathlib.Path, default=ROOT / "target" / "release", help="where the binaries are")
    parser.add_argument("--json", type=pathlib.Path, help="also write the raw figures there")
    options = parser.parse_args()
    terraform = os.environ.get("PODIDENTITY_TERRAFORM") or shutil.which("terraform") or shutil.which("tofu")
    if not terraform:
        raise Failure("there is no terraform on PATH; use `make bench`")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_"))}
    environment["CHECKPOINT_DISABLE"] = "1"
    environment["AWS_EC2_METADATA_DISABLED"] = "true"
    version = json.loads(subprocess.run([terraform, "version", "-json"], env=environment, capture_output=True, text=True, check=True).stdout)
    sandbox = Sandbox(options.release_dir / "podidentity-sandbox")
    environment.update(
        AWS_ENDPOINT_URL=sandbox.endpoint,
        AWS_REGION=sandbox.ready["region"],
        AWS_ACCESS_KEY_ID="test",
        AWS_SECRET_ACCESS_KEY="test",
        AWS_CONFIG_FILE=os.devnull,
        AWS_SHARED_CREDENTIALS_FILE=os.devnull,
    )
    directory = pathlib.Path(tempfile.mkdtemp(prefix="podidentity-bench-"))
    try:
        mirror = write_mirror(options.release_dir / "terraform-provider-podidentity", directory)
        examples = ROOT / "examples" / "complete"
        ours = "".join((examples / name).read_text() for name in ("versions.tf", "main.tf"))
        contestants = [
            Contestant("terraform", directory, TERRAFORM_DATA, None, environment, terraform),
            Contestant("podidentity", directory, ours, mirror, environment, terraform),
        ]
        sources = {"podidentity": OURS}
        aws_mirror = os.environ.get("PODIDENTITY_AWS_PROVIDER_MIRROR")
        if aws_mirror and (pathlib.Path(aws_mirror) / AWS / AWS_VERSION).is_dir():
            contestants.append(Contestant("aws", directory, AWS_CONFIGURATION, aws_mirror, environment, terraform))
            sources["aws"] = AWS
        for contestant in contestants:
            print(f"Applying: {contestant.name}", flush=True)
            contestant.prepare()
            sandbox.control("DELETE", "requests")
            contestant.plan()
            contestant.calls = dict(collections.Counter(f"{call['service']}:{call['operation']}" for call in sandbox.control("GET", "requests")))
        for number in range(options.runs):
            print(f"\rPlanning: round {number + 1} of {options.runs}", end="", flush=True)
            for contestant in contestants:
                contestant.seconds.append(contestant.plan())
        print()
        for contestant in contestants:
            if contestant.name in sources:
                contestant.measure_memory(sources[contestant.name], options.memory_runs)
        report(contestants, version["terraform_version"], options.runs)
        if options.json:
            figures = {c.name: {"seconds": c.seconds, "peak_kib": c.peaks, "calls": c.calls} for c in contestants}
            options.json.write_text(json.dumps(figures, indent=2) + "\n")
    finally:
        sandbox.process.terminate()
        shutil.rmtree(directory, ignore_errors=True)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        sys.exit(f"bench: {failure}")
