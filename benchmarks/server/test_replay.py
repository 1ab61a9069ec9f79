"""The replay against a server of its own that stalls: what it measures must count those who were due meanwhile."""
import asyncio
import contextlib
import io
import json
import pathlib
import random
import tempfile
import types
import unittest

import replay


class Stub:
    """Answers two tokens; from the third request on nothing happens until the stall is over, as if the whole server stood still."""

    def __init__(self, stall=0.0, refuse=0):
        self.stall, self.refuse, self.seen, self.until = stall, refuse, [], None

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        return replay.Server(f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}", "m", forbid=[2])

    async def __aexit__(self, *_):
        self.server.close()

    async def serve(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        self.seen.append(json.loads(await reader.readexactly(length)))
        loop = asyncio.get_running_loop()
        if self.until is None and len(self.seen) == 3:
            self.until = loop.time() + self.stall
        if self.until is not None:
            await asyncio.sleep(max(0, self.until - loop.time()))
        if len(self.seen) <= self.refuse:
            writer.write(b"HTTP/1.1 429 Too Many\r\nRetry-After: 1\r\nContent-Length: 2\r\n\r\n{}")
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            events = [{"choices": [{"delta": {"content": "a"}}]}, {"choices": [{"delta": {"content": "b"}}]},
                      {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2}}]
            text = b"".join(b"data: " + json.dumps(e).encode() + b"\n\n" for e in events) + b"data: [DONE]\n\n"
            for part in (text[:7], text[7:60], text[60:]):  # events broken anywhere
                writer.write(b"%x\r\n%s\r\n" % (len(part), part))
            writer.write(b"0\r\n\r\n")
        await writer.drain()
        writer.close()


class ReplayTest(unittest.TestCase):
    def test_a_stall_is_charged_to_all_who_were_due(self):
        async def go():
            async with Stub(stall=1.0) as server:
                return await replay.replay(server, [replay.Due(i * 0.05, 5, 2) for i in range(20)], 1)

        samples, _ = asyncio.run(go())
        self.assertTrue(all(s.good and s.output == 2 and s.prompt == 9 for s in samples))
        # the third waits for a second, the next for 0.95, and so on down: a client that waits for its answers would have seen one slow request
        slow = [s.first for s in samples if s.first > 0.1]
        self.assertGreaterEqual(len(slow), 15)
        self.assertGreater(replay.percentile([s.first for s in samples], 0.5), 0.4)

    def test_refusals_are_counted_apart(self):
        async def go():
            stub = Stub(refuse=2)
            async with stub as server:
                samples, seconds = await replay.replay(server, [replay.Due(i * 0.02, 5, 2) for i in range(5)], 1)
                return replay.row("stub", "1", 50, samples, seconds), stub.seen

        row, seen = asyncio.run(go())
        self.assertEqual((5, 3, 2, 0), (row["sent"], row["answered"], row["refused"], row["failed"]))
        self.assertEqual({"2": -100}, seen[0]["logit_bias"])
        self.assertIn("| stub | 1 | 50.00 | 3, 2, 0 | 9, 2 |", replay.table([row]))

    def test_percentiles_are_values_that_were(self):
        values = list(range(1, 101))
        random.Random(1).shuffle(values)
        self.assertEqual([50, 90, 99, 100], [replay.percentile(values, p) for p in (0.5, 0.9, 0.99, 1)])

    def test_the_trace_keeps_its_shape_at_any_rate(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "trace.csv")
            file.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n"
                            "2023-11-16 18:15:47.6805900,4000,109\n2023-11-16 18:15:50.6805900,10,16\n")
            trace, cut = replay.read_trace(file, 1000, 100, 1)
        self.assertEqual((1, [0, 1, 4], [374, 1000, 10], [44, 100, 16]),
                         (cut, [round(d.at, 3) for d in trace], [d.prompt for d in trace], [d.output for d in trace]))
        self.assertEqual([0, 0.25, 1], [round(d.at, 3) for d in replay.paced(trace, 2, 1.5)])

    def test_capacity_and_loads(self):
        async def go():
            stub = Stub()
            async with stub as server:
                trace = [replay.Due(i, 5, 2) for i in range(100000)]
                options = types.SimpleNamespace(seed=1, capacity=None, clients=2, seconds=0.3, load=["0.1", "0.2"])
                with contextlib.redirect_stderr(io.StringIO()):
                    rows, rate = await replay.measure("stub", server, trace, options, None)
                    return rows, rate, [body["messages"][0]["content"] for body in stub.seen]

        rows, rate, prompts = asyncio.run(go())
        self.assertEqual(len(prompts), len(set(prompts)), "no prompt twice: caches of prefixes would help")
        self.assertGreater(rate, 0)
        self.assertAlmostEqual(rate * 0.1, rows[0]["requests/s"])
        self.assertEqual(rows[0]["sent"], rows[0]["answered"])


if __name__ == "__main__":
    unittest.main()
