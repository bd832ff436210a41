"""Descriptors of VMs leave the low numbers to libraries that use select(2)."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator

import pytest

from runc_cpi.daemon.host.high_descriptors import LOW, raised


@pytest.fixture
def limit() -> Iterator[None]:
    """Have as many descriptors as the kernel allows, for as long as a test runs."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_high_number(limit: None) -> None:
    """The same file has a high number, and the low one is free again."""
    low = os.open(os.devnull, os.O_RDONLY)
    high = raised(low)
    try:
        assert high >= LOW
        assert not os.get_inheritable(high)
        assert os.path.samestat(os.fstat(high), os.stat(os.devnull))
        assert os.open(os.devnull, os.O_RDONLY) == low
    finally:
        os.close(high)
        os.close(low)


def test_a_process_that_may_have_few(limit: None) -> None:
    """It keeps the number that it has."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (LOW, most))
    low = os.open(os.devnull, os.O_RDONLY)
    assert raised(low) == low
    os.close(low)


def test_a_process_that_has_all(limit: None) -> None:
    """The error is the caller's, who is left with nothing to close."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (LOW + 1, most))
    highest = raised(os.open(os.devnull, os.O_RDONLY))
    low = os.open(os.devnull, os.O_RDONLY)
    with pytest.raises(OSError) as caught:
        raised(low)
    assert caught.value.errno == errno.EMFILE
    assert os.open(os.devnull, os.O_RDONLY) == low
    os.close(low)
    os.close(highest)
