"""What must be true before anything is installed or started. Standard library only: it runs before the environments exist.

    python3.11 demo/preflight.py tools
    python3.11 demo/preflight.py ports 8080 8081

Exit 78 and one line that says what to do.
"""

import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence

PYTHON = (3, 11)
JAVA_MAJOR = 17
LAST_PORT = 65_535
CHOICE = "make demo PORT=… AIRFLOW_PORT=… CATALOG_PORT=…"


def missing_tool() -> str | None:
    """One line about the first tool that is missing, or None."""
    if sys.version_info[:2] != PYTHON:
        return f"Python 3.11 is needed, this is {sys.version.split()[0]}: make PYTHON=/path/to/python3.11"
    if not shutil.which("java"):
        return "Java 17 is missing: install it (Debian: apt-get install openjdk-17-jre-headless)"
    shown = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr
    return java_complaint(shown)


def java_complaint(shown: str) -> str | None:
    """One line about what `java -version` printed, or None when it is Java 17."""
    found = re.search(r'version "(\d+)', shown)
    if not found:
        return "cannot read the Java version: is `java -version` Java 17?"
    if int(found[1]) != JAVA_MAJOR:
        return f"Java 17 is needed, this is Java {found[1]}: install it and put it first on PATH"
    return None


def port_complaint(ports: Sequence[int | str]) -> str | None:
    """One line about the first that is no port, is named twice, or has something listening on 127.0.0.1; or None."""
    numbers = [int(port) if str(port).isdecimal() else 0 for port in ports]
    for port, number in zip(ports, numbers, strict=True):
        if not 1 <= number <= LAST_PORT:
            return f"{port} is no port: choose a number from 1 to {LAST_PORT} ({CHOICE})"
        if numbers.count(number) > 1:
            return f"port {number} is chosen twice: choose another for one of them ({CHOICE})"
    for number in numbers:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", number))
            except PermissionError:
                return f"port {number} is for root only: choose one above 1023 ({CHOICE})"
            except OSError:
                return f"port {number} is in use: stop what listens there, or choose others ({CHOICE})"
    return None


def main(argv: list[str]) -> int:
    complaint = missing_tool() if argv[0] == "tools" else port_complaint(argv[1:])
    if complaint:
        print(f"make: {complaint}", file=sys.stderr)
        return 78
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
