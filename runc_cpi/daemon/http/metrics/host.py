"""Numbers that take a look at the host or at files: they are looked at in a thread."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress

from runc_cpi.daemon.config import ConfigError
from runc_cpi.daemon.config.certificates import certificates
from runc_cpi.daemon.http.metrics import catalogue as of
from runc_cpi.daemon.http.metrics.samples import Sample

SELDOM = 60.0  # seconds between two looks


class HostNumbers:
    """
    Looks at the host.

    @param loop_devices: counts those of this daemon; it blocks.
    @param stuck_removals: counts the interfaces that the kernel does not remove.
    @param findings: returns the state of each that a quick examination has; it blocks.
    @param named_certificates: PEM or paths, by the key of the configuration.
    @param seconds: the clock.
    """

    def __init__(
        self,
        *,
        loop_devices: Callable[[], int],
        stuck_removals: Callable[[], int],
        findings: Callable[[], Iterable[str]],
        named_certificates: Mapping[str, str],
        seconds: Callable[[], float],
    ) -> None:
        self._loop_devices, self._findings = loop_devices, findings
        self._stuck_removals = stuck_removals
        self._certificates, self._seconds = named_certificates, seconds
        self._seen: list[Sample] = []
        self._due = seconds()

    def read(self) -> Iterator[Sample]:
        """
        Return what is seen, a minute old at most if it takes a look; this blocks.

        @raise OSError: if the host cannot be looked at.
        """
        if self._seconds() >= self._due:
            self._due = self._seconds() + SELDOM
            devices = Sample(of.LOOP_DEVICES, (), self._loop_devices())
            self._seen = [devices, *self._of_certificates(), *self._of_findings()]
        yield from self._seen
        yield Sample(of.STUCK_REMOVALS, (), self._stuck_removals())

    def _of_certificates(self) -> Iterator[Sample]:
        for key, value in self._certificates.items():
            with suppress(ConfigError):  # the doctor says what is wrong
                ends = min(each.not_valid_after_utc for each in certificates(key, value))
                yield Sample(of.CERTIFICATE_ENDS, (key,), ends.timestamp())

    def _of_findings(self) -> Iterator[Sample]:
        counts = Counter({"ok": 0, "warning": 0, "fault": 0})
        counts.update(self._findings())
        for state, count in counts.items():
            yield Sample(of.FINDINGS, (state,), count)
