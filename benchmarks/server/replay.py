#!/usr/bin/env python3
"""Replays a trace of requests against any server with OpenAI's interface, and prints percentiles as a markdown table.

The loop is open: each request is sent at its own moment, whatever became of those before, and every latency counts from the moment at which the
request was due, not from when it could be sent. So a server that stalls is charged for all who would have come meanwhile; nothing has to be corrected
for coordinated omission afterwards (Tene, "How NOT to Measure Latency"), and percentiles are exact, of all samples. Python 3.9 or newer, no libraries.

    replay.py --url http://127.0.0.1:8080 --model smollm2-135m-instruct --trace AzureLLMInferenceTrace_conv.csv --seconds 120 --load 0.5 --load 1
"""
import argparse
import asyncio
import csv
import datetime
import json
import math
import random
import statistics
import sys
import time
from dataclasses import asdict, dataclass, field
from urllib.parse import urlsplit

# common enough to be one token each in most vocabularies
WORDS = ("the of and to in is was for on that with as it by at from are this be an which or had not but one were all has their have who more when "
         "time people water work world house school city life family part place year day man woman child state group company system government "
         "number night point home room mother area money story fact month book eye job word business issue side kind head father").split()


@dataclass
class Due:
    """A request of the trace."""
    at: float  # seconds from the beginning
    prompt: int  # tokens, about
    output: int  # tokens


@dataclass
class Sample:
    """What became of it; seconds from when it was due."""
    late: float = 0  # until it was sent
    first: float = math.nan
    last: float = math.nan
    status: int = 0  # of HTTP; 0: none came
    prompt: int = 0  # tokens as the server counted them
    output: int = 0
    gaps: list = field(default_factory=list)  # between pieces
    error: str = ""

    @property
    def good(self):
        return not self.error and self.output > 0

    @property
    def per_token(self):
        return (self.last - self.first) / (self.output - 1) if self.output > 1 else math.nan


def read_trace(path, most_prompt, most_output, scale):
    """Requests of a trace in Azure's form (TIMESTAMP,ContextTokens,GeneratedTokens), and how many had to be made shorter."""
    dues, cut, begin = [], 0, None
    with open(path, newline="") as lines:
        for row in csv.DictReader(lines):
            stamp = datetime.datetime.fromisoformat(row["TIMESTAMP"][:26])  # it has seven digits of a second
            begin = begin or stamp
            prompt, output = (max(1, round(int(row[name]) * scale)) for name in ("ContextTokens", "GeneratedTokens"))
            cut += prompt > most_prompt or output > most_output
            dues.append(Due((stamp - begin).total_seconds(), min(prompt, most_prompt), min(output, most_output)))
    return dues, cut


def paced(trace, rate, seconds):
    """The requests of so many seconds, the trace's own gaps stretched so that they come at so many a second on average."""
    count = max(2, round(rate * seconds))
    if count > len(trace):
        raise SystemExit(f"the trace has {len(trace)} requests, {count} are needed: choose fewer --seconds")
    part = trace[:count]
    factor = (count - 1) / rate / (part[-1].at - part[0].at)
    return [Due((d.at - part[0].at) * factor, d.prompt, d.output) for d in part]


class Server:
    def __init__(self, url, model, key=None, forbid=(), timeout=600):
        parts = urlsplit(url)
        if parts.scheme != "http" or parts.path.rstrip("/") not in ("", "/v1"):
            raise SystemExit("--url is the address of a server, such as http://127.0.0.1:8080")
        self.host, self.port, self.model, self.key, self.timeout = parts.hostname, parts.port or 80, model, key, timeout
        self.bias = {str(token): -100 for token in forbid}

    def head(self, method, path, length=0):
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}:{self.port}", "Connection: close", "Accept: */*"]
        if self.key:
            lines.append(f"Authorization: Bearer {self.key}")
        if length:
            lines += ["Content-Type: application/json", f"Content-Length: {length}"]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    async def ready(self, seconds):
        """Waits until models are listed; the first one's name."""
        until = time.monotonic() + seconds
        while True:
            try:
                reader, writer = await asyncio.open_connection(self.host, self.port)
                writer.write(self.head("GET", "/v1/models"))
                status, headers = await answer_head(reader)
                body = b"".join([part async for part in answer_body(reader, headers)])
                writer.close()
                if status == 200:
                    return json.loads(body)["data"][0]["id"]
                failure = f"status {status}"
            except (OSError, asyncio.IncompleteReadError, ValueError) as e:
                failure = repr(e)
            if time.monotonic() > until:
                raise SystemExit(f"no server answers at {self.host}:{self.port}: {failure}")
            await asyncio.sleep(0.2)

    async def ask(self, due, words, begin):
        """Sends a request when it is due. Each prompt begins with words of its own, so that no cache of prefixes helps."""
        sample = Sample()
        moment = begin + due.at
        await asyncio.sleep(max(0, moment - time.perf_counter()))
        sample.late = time.perf_counter() - moment
        body = {"model": self.model, "messages": [{"role": "user", "content": " ".join(words)}], "max_tokens": due.output, "temperature": 0,
                "stream": True, "stream_options": {"include_usage": True}}
        if self.bias:
            body["logit_bias"] = self.bias
        try:
            await asyncio.wait_for(self.exchange(json.dumps(body).encode(), sample, moment), self.timeout)
        except (OSError, EOFError, asyncio.TimeoutError, ValueError) as e:
            sample.error = sample.error or repr(e)
        return sample

    async def exchange(self, body, sample, moment):
        reader, writer = await asyncio.open_connection(self.host, self.port, limit=1 << 20)
        try:
            writer.write(self.head("POST", "/v1/chat/completions", len(body)) + body)
            sample.status, headers = await answer_head(reader)
            rest, counted, done = b"", 0, False
            async for part in answer_body(reader, headers):
                if sample.status != 200:
                    sample.error += part.decode(errors="replace")
                    continue
                now = time.perf_counter() - moment
                *lines, rest = (rest + part).split(b"\n")
                for line in lines:
                    if not line.startswith(b"data:"):
                        continue
                    data = line[5:].strip()
                    if data == b"[DONE]":
                        done = True
                        continue
                    event = json.loads(data)
                    if "error" in event:
                        sample.error = str(event["error"].get("message"))
                    delta = (event.get("choices") or [{}])[0].get("delta") or {}
                    if delta.get("content") or delta.get("reasoning_content"):
                        if counted:
                            sample.gaps.append(now - sample.last)
                        else:
                            sample.first = now
                        sample.last = now
                        counted += 1
                    if event.get("usage"):
                        sample.prompt, sample.output = event["usage"]["prompt_tokens"], event["usage"]["completion_tokens"]
            sample.output = sample.output or counted  # servers that send no usage: pieces
            if not sample.error and sample.status == 200 and not done:
                sample.error = "the stream ended early"
        finally:
            writer.close()


async def answer_head(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    return int(first.split()[1]), {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


async def answer_body(reader, headers):
    if "chunked" not in headers.get("transfer-encoding", ""):
        if "content-length" in headers:
            yield await reader.readexactly(int(headers["content-length"]))
        else:
            while part := await reader.read(1 << 16):
                yield part
        return
    while size := int((await reader.readline()).split(b";")[0], 16):
        yield await reader.readexactly(size)
        await reader.readexactly(2)


def words_of(due, random):
    # the template adds some tokens; a prompt of words alone comes close enough, and the table has what the server counted
    return [str(random.randrange(10 ** 6))] + random.choices(WORDS, k=max(1, due.prompt - 4))


async def replay(server, dues, seed):
    """All requests, each at its time. Returns samples and the seconds from the first to the end of the last."""
    source = random.Random(seed)
    prompts = [words_of(due, source) for due in dues]
    begin = time.perf_counter() + 0.1
    samples = await asyncio.gather(*(server.ask(due, words, begin) for due, words in zip(dues, prompts)))
    return list(samples), time.perf_counter() - begin


async def capacity(server, trace, clients, seconds, seed):
    """Requests a second that the server completes when so many clients always wait: each asks again as soon as it has its answer."""
    source = random.Random(seed)
    todo = iter(trace)
    samples = []
    begin = time.perf_counter()

    async def client():
        for due in todo:
            if time.perf_counter() - begin > seconds:
                return
            sample = await server.ask(Due(0, due.prompt, due.output), words_of(due, source), time.perf_counter())
            samples.append((time.perf_counter() - begin, sample))

    await asyncio.gather(*(client() for _ in range(clients)))
    bad = [s for _, s in samples if not s.good]
    if bad:
        raise SystemExit(f"{len(bad)} of {len(samples)} requests failed while capacity was measured: {bad[0].status} {bad[0].error}")
    whole = samples[-1][0]  # until the last of them: the end, when not all clients are busy any more, makes the figure a careful one
    return len(samples) / whole, sum(s.output for _, s in samples) / whole


def percentile(values, share):
    """The smallest value that at least this share of all is not above; nan where there is none."""
    ordered = sorted(v for v in values if not math.isnan(v))
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan


def row(label, load, rate, samples, seconds):
    good = [s for s in samples if s.good]
    refused = [s for s in samples if s.status in (429, 503)]
    figures = {"server": label, "load": load, "requests/s": rate, "sent": len(samples), "answered": len(good), "refused": len(refused),
               "failed": len(samples) - len(good) - len(refused), "seconds": seconds,
               "prompt tokens": statistics.mean([s.prompt for s in good] or [0]), "output tokens": statistics.mean([s.output for s in good] or [0]),
               "output tokens/s": sum(s.output for s in good) / seconds, "latest sent": max((s.late for s in samples), default=0)}
    for name, values in (("first", [s.first for s in good]), ("token", [s.per_token for s in good]), ("gap", [g for s in good for g in s.gaps]),
                         ("all", [s.last for s in good])):
        for share in (0.5, 0.9, 0.99):
            figures[f"{name} p{share * 100:g}"] = percentile(values, share)
    return figures


def table(rows):
    def three(r, name, unit=1):
        return " / ".join(f"{r[f'{name} p{p}'] * unit:.{0 if unit > 1 else 2}f}" for p in (50, 90, 99))

    lines = ["| server | load | requests/s | answered, refused, failed | tokens in, out | out tokens/s | first token, s: p50 / p90 / p99 | per token, ms |"
             " gap, ms | whole, s |", "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"]
    for r in rows:
        lines.append(f"| {r['server']} | {r['load']} | {r['requests/s']:.2f} | {r['answered']}, {r['refused']}, {r['failed']} |"
                     f" {r['prompt tokens']:.0f}, {r['output tokens']:.0f} | {r['output tokens/s']:.1f} | {three(r, 'first')} |"
                     f" {three(r, 'token', 1000)} | {three(r, 'gap', 1000)} | {three(r, 'all')} |")
    return "\n".join(lines)


def arguments(parser):
    parser.add_argument("--trace", required=True, help="TIMESTAMP,ContextTokens,GeneratedTokens")
    parser.add_argument("--seconds", type=float, default=120, help="of requests at each load (default: 120)")
    parser.add_argument("--load", action="append", help="share of the capacity; may be given several times (default: 0.5 and 1)")
    parser.add_argument("--capacity", type=float, help="requests/s; measured where not given")
    parser.add_argument("--clients", type=int, default=8, help="that always wait while capacity is measured (default: 8)")
    parser.add_argument("--scale", type=float, default=1, help="of all token counts (default: 1)")
    parser.add_argument("--max-prompt", type=int, default=1024, help="tokens; longer ones are cut (default: 1024)")
    parser.add_argument("--max-output", type=int, default=256, help="tokens; longer ones are cut (default: 256)")
    parser.add_argument("--forbid", type=int, action="append", default=[], help="token id that must not come, such as the end of text, so that"
                        " answers have the trace's lengths; may be given several times")
    parser.add_argument("--timeout", type=float, default=600, help="seconds for one request (default: 600)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", help="file for all figures and samples, one object a line")


async def measure(label, server, trace, options, out):
    """Warms up, measures the capacity where none is given, replays at each load. Rows of the table, and the capacity."""
    warm, _ = await replay(server, [Due(0, 32, 8)], options.seed + 1)
    if not warm[0].good:
        raise SystemExit(f"{label} does not answer: {warm[0].status} {warm[0].error}")
    rate, rows = options.capacity, []
    if not rate:
        rate, tokens = await capacity(server, trace, options.clients, options.seconds, options.seed + 2)
        print(f"{label}: capacity {rate:.3f} requests/s, {tokens:.1f} output tokens/s with {options.clients} clients", file=sys.stderr)
    for load in options.load or ["0.5", "1"]:
        dues = paced(trace, rate * float(load), options.seconds)
        # other words at each load: an answer from the cache of the load before would be no answer
        samples, seconds = await replay(server, dues, f"{options.seed} at {load}")
        figures = row(label, load, rate * float(load), samples, seconds)
        rows.append(figures)
        print(f"{label}: {load} x capacity: {figures['answered']} of {figures['sent']} answered in {seconds:.1f} s, sent at most"
              f" {figures['latest sent'] * 1000:.1f} ms late", file=sys.stderr)
        for failed in [s for s in samples if not s.good and s.status not in (429, 503)][:3]:
            print(f"  failed: {failed.status} {failed.error[:200]}", file=sys.stderr)
        if out:
            out.write(json.dumps({**figures, "samples": [asdict(s) for s in samples]}) + "\n")
    return rows, rate


def load_trace(options):
    trace, cut = read_trace(options.trace, options.max_prompt, options.max_output, options.scale)
    print(f"{len(trace)} requests in the trace, token counts times {options.scale:g}, {cut} of them cut to {options.max_prompt} in and"
          f" {options.max_output} out", file=sys.stderr)
    return trace


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--model", help="default: the first that the server lists")
    parser.add_argument("--key", help="API key")
    parser.add_argument("--label", default="server")
    arguments(parser)
    options = parser.parse_args()
    trace = load_trace(options)
    server = Server(options.url, options.model, options.key, options.forbid, options.timeout)

    async def go():
        server.model = options.model or await server.ready(10)
        out = open(options.json, "a") if options.json else None
        rows, _ = await measure(options.label, server, trace, options, out)
        print(table(rows))

    asyncio.run(go())


if __name__ == "__main__":
    main()
