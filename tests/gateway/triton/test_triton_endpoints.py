"""What `RETOUCH_TRITON_URL` may say."""

import socket
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.settings import Settings
from gateway.triton.triton_endpoints import TritonEndpoints


def test_one_address_needs_no_pool() -> None:
    assert TritonEndpoints.parse("127.0.0.1:8001").only == "127.0.0.1:8001"
    assert TritonEndpoints.parse(" triton:8001, ").only == "triton:8001"


def test_several_addresses_keep_their_order_and_are_counted_once() -> None:
    endpoints = TritonEndpoints.parse("b:1, a:2,b:1,[::1]:3")
    assert endpoints.only is None
    assert endpoints.resolve() == ("b:1", "a:2", "[::1]:3")


def test_every_address_of_a_name_is_a_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    def lookup(host: str, port: int, **_: Any) -> list[Any]:
        assert (host, port) == ("tritons.example", 8001)
        family = socket.AF_INET
        return [(family, 1, 6, "", (ip, port)) for ip in ("10.0.0.2", "10.0.0.1", "10.0.0.2")]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    endpoints = TritonEndpoints.parse("dns:///tritons.example:8001,other:8001")
    assert endpoints.only is None
    assert endpoints.resolve() == ("other:8001", "10.0.0.1:8001", "10.0.0.2:8001")


def test_a_name_of_one_address_is_still_looked_up_again() -> None:
    endpoints = TritonEndpoints.parse("dns:///localhost:8001")
    assert endpoints.only is None
    assert "127.0.0.1:8001" in endpoints.resolve()


@pytest.mark.parametrize("text", ["triton", "triton:0", "triton:70000", "http://triton:8001", ","])
def test_what_is_no_address_is_refused_at_start(text: str) -> None:
    with pytest.raises(ValidationError, match="triton_url"):
        Settings(triton_url=text)


def test_an_empty_setting_is_as_good_as_none() -> None:
    assert Settings(triton_url="").triton_url is None
