"""The envelope: which requests are taken, and that every response is whole."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runc_cpi.cpi import request
from runc_cpi.errors import CPIError, InvalidArgument, NotSupported, StillRunning


def strict(text: str) -> object:
    """Parse JSON as the Director's and the CLI's parsers do: there is no NaN in it."""

    def refuse(constant: str) -> object:
        raise ValueError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_a_request_of_the_director() -> None:
    """All fields of a request are kept as they came."""
    context = {
        "director_uuid": "a-uuid",
        "request_id": "cpi-123456",
        "vm": {"stemcell": {"api_version": 3}},
    }
    raw = {
        "method": "has_vm",
        "arguments": ["vm-1"],
        "context": context,
        "api_version": 2,
    }
    parsed = request.parse(json.dumps(raw).encode())
    assert (parsed.method, parsed.arguments) == ("has_vm", ["vm-1"])
    assert (parsed.context, parsed.api_version) == (context, 2)
    assert parsed.request_id == "cpi-123456"


def test_the_first_info_of_a_director_names_no_version() -> None:
    """A request without a version is of version 1."""
    parsed = request.parse(b'{"method": "info", "arguments": [], "context": {}}')
    assert (parsed.api_version, parsed.request_id) == (1, "")


@pytest.mark.parametrize(
    "context", [{"request_id": 7}, {"request_id": None}, {"request_id": ["a"]}, {}]
)
def test_a_request_id_that_is_no_text_is_left_out(context: dict[str, object]) -> None:
    """A request id that is no text is ignored, as it serves the log alone."""
    raw = json.dumps({"method": "ping", "context": context}).encode()
    assert request.parse(raw).request_id == ""


@pytest.mark.parametrize("version", [1, 2, 3])
def test_versions_of_the_contract(version: int) -> None:
    """Versions 1, 2 and 3 of the contract are accepted."""
    raw = json.dumps({"method": "ping", "api_version": version}).encode()
    assert request.parse(raw).api_version == version


@pytest.mark.parametrize("version", [0, 4, -1, 10**30])
def test_other_versions_are_not_supported(version: int) -> None:
    """An unknown version is refused with those that are known."""
    raw = json.dumps({"method": "ping", "api_version": version}).encode()
    with pytest.raises(NotSupported, match=rf"api_version: {version} is none of 1, 2, 3"):
        request.parse(raw)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_encodings_of_json(encoding: str) -> None:
    """A request may have any encoding that JSON may have."""
    raw = '{"method": "ping", "arguments": ["Grüße"]}'.encode(encoding)
    assert request.parse(raw).arguments == ["Grüße"]


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_numbers_that_json_does_not_have_are_refused(constant: str) -> None:
    """
    Python reads and writes them, the agent's parser does not.

    A VM with such a setting would never answer, and a response with one is no JSON.
    """
    raw = f'{{"method": "ping", "arguments": [{{"deep": [{constant}]}}]}}'.encode()
    with pytest.raises(InvalidArgument, match=r"not JSON|number"):
        request.parse(raw)


def test_a_request_as_long_as_allowed_is_read() -> None:
    """A request of the greatest size is read, and one byte more is refused."""
    rest = request.REQUEST_LIMIT - len(b'{"method":"ping"}')
    padded = b'{"method":"ping"' + b" " * rest + b"}"
    assert request.parse(padded).method == "ping"
    with pytest.raises(InvalidArgument, match=f"more than {request.REQUEST_LIMIT} bytes"):
        request.parse(padded + b" ")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(json_values)
def test_a_response_is_one_line_of_json_with_all_keys(result: object) -> None:
    """A response is one line of JSON with all three keys, each of its type."""
    text = request.response(result, None)
    assert "\n" not in text
    assert text.isascii()
    assert strict(text) == {"result": result, "error": None, "log": ""}


@given(st.text())
def test_an_error_response_has_exact_types(message: str) -> None:
    """An error has a type, a message and C{ok_to_retry}, as its class says."""
    assert strict(request.response(None, StillRunning(message))) == {
        "result": None,
        "error": {
            "type": "Bosh::Clouds::CloudError",
            "message": message,
            "ok_to_retry": True,
        },
        "log": "",
    }


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_an_error_of_ours(raw: bytes) -> None:
    """Any bytes on stdin give a request or a C{CPIError}."""
    try:
        request.parse(raw)
    except CPIError as error:
        assert str(error)
