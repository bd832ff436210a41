"""What is at which path, as a client gets it."""

from __future__ import annotations

import json
import os
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from runc_cpi.daemon.status import page
from tests.unit.status.examples import HOSTILE, example
from tests.unit.status.serving import served

Answer = tuple[HTTPResponse, bytes]


def ask(url: str, *requests: str) -> list[Answer]:
    """Ask for paths, each with C{GET} or another method before it; this blocks."""
    answers = []
    connection = HTTPConnection(urlsplit(url).netloc, timeout=30)
    try:
        for request in requests:
            method, path = request.split(" ")
            connection.request(method, path)
            answer = connection.getresponse()
            answers.append((answer, answer.read()))
    finally:
        connection.close()
    return answers


class AnswersTests(TestCase):
    """A server over a fake host with one VM, whose name is markup."""

    timeout = 60

    async def ask(self, *requests: str) -> list[Answer]:
        """Return what is answered."""
        directory = Path(os.path.abspath(self.mktemp()))
        self.example = await example(reactor, directory, 1, hostile=True)
        async with served(reactor, self.example.documents) as url:
            answers: list[Answer] = await deferToThread(ask, url, *requests)
            return answers

    async def test_page(self) -> None:
        """The page comes whole, for nobody to keep, with what a browser lets it do."""
        (answer, text), (head, nothing) = await self.ask("GET /", "HEAD /")
        self.assertEqual((answer.status, text), (200, page.content()))
        self.assertEqual((head.status, nothing), (200, b""))
        self.assertEqual(answer.getheader("Content-Type"), "text/html; charset=utf-8")
        self.assertEqual(answer.headers.get_all("Content-Security-Policy"), [page.policy()])
        self.assertEqual(answer.getheader("Cache-Control"), "no-store")
        self.assertEqual(answer.getheader("X-Content-Type-Options"), "nosniff")

    async def test_documents(self) -> None:
        """Documents are JSON, which no browser takes for a page."""
        answers = await self.ask("GET /api/status", "GET /api/history", "GET /api/events")
        keys = ("vms", "ages", "events")
        for (answer, text), key in zip(answers, keys, strict=True):
            self.assertEqual(answer.status, 200)
            self.assertEqual(answer.getheader("Content-Type"), "application/json")
            self.assertEqual(answer.getheader("X-Content-Type-Options"), "nosniff")
            self.assertTrue(json.loads(text)[key])
        self.assertEqual(json.loads(answers[0][1])["vms"][0]["instance"], HOSTILE)

    async def test_filters(self) -> None:
        """Filters are those of the operator's tool; what is wrong with one is said."""
        answers = await self.ask(
            "GET /api/events?request_id=cpi-318207&deployment=cf",
            "GET /api/events?request_id=",
            "GET /api/events?cid=a&cid=b",
            "GET /api/events?deployment=%ff",
            "GET /api/events?since=4000000000",
            "GET /api/events?since=x",
        )
        told = [(answer.status, json.loads(text)) for answer, text in answers]
        self.assertEqual([status for status, _ in told], [200, 400, 400, 400, 200, 400])
        (event,) = told[0][1]["events"]
        self.assertEqual(event["outcome"], "failed")
        self.assertIn("filters.request_id: '' must be a text", told[1][1]["error"])
        self.assertIn("cid: is there 2 times", told[2][1]["error"])
        self.assertIn("must be UTF-8", told[3][1]["error"])
        self.assertEqual(told[4][1]["events"], [])
        self.assertIn("filters.since: 'x' must be seconds since 1970", told[5][1]["error"])

    async def test_nothing_else(self) -> None:
        """There is nothing at other paths, and nothing can be changed."""
        answers = await self.ask(
            "GET /api", "GET /api/x", "GET /api/status/", "POST /api/events"
        )
        self.assertEqual([answer.status for answer, _ in answers], [404, 404, 404, 405])
