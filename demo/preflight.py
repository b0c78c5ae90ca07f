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

PYTHON = (3, 11)
JAVA_MAJOR = 17


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


def port_complaint(ports: list[int]) -> str | None:
    """One line about the first port of 127.0.0.1 that something listens on, or None."""
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return f"port {port} is in use: stop what listens there, or choose others (make demo PORT=… AIRFLOW_PORT=… CATALOG_PORT=…)"
    return None


def main(argv: list[str]) -> int:
    complaint = missing_tool() if argv[0] == "tools" else port_complaint([int(port) for port in argv[1:]])
    if complaint:
        print(f"make: {complaint}", file=sys.stderr)
        return 78
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
