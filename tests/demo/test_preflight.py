import socket

import pytest

from demo.preflight import java_complaint, port_complaint


@pytest.mark.parametrize(
    ("shown", "says"),
    [
        ('openjdk version "11.0.2" 2019-01-15', "this is Java 11"),
        ('java version "1.8.0_412"', "this is Java 1"),
        ("command failed", "cannot read"),
    ],
)
def test_another_java_is_named_in_one_line(shown: str, says: str) -> None:
    complaint = java_complaint(shown)
    assert complaint is not None
    assert says in complaint
    assert "\n" not in complaint


def test_java_17_passes() -> None:
    assert java_complaint('openjdk version "17.0.15" 2025-04-15') is None


def test_a_port_in_use_is_named() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        complaint = port_complaint([port])
    assert complaint is not None
    assert str(port) in complaint
    assert port_complaint([port]) is None


@pytest.mark.parametrize("port", ["http", "-5", "0", "65536", "80.5", "³"])
def test_what_is_no_port_is_named_in_one_line(port: str) -> None:
    complaint = port_complaint([port])
    assert complaint is not None
    assert complaint.startswith(f"{port} is no port")
    assert "\n" not in complaint


def test_one_port_for_two_servers_is_named() -> None:
    complaint = port_complaint(["28080", 28081, 28080])
    assert complaint is not None
    assert complaint.startswith("port 28080 is chosen twice")
