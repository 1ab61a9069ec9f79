"""OpenAI's Python client, as it is, against a server: LACUNA_URL (without /v1), LACUNA_KEY, LACUNA_MODEL."""
import asyncio
import os
import time
import unittest
import urllib.request

import openai

URL, KEY, MODEL = (os.environ[name] for name in ("LACUNA_URL", "LACUNA_KEY", "LACUNA_MODEL"))
HELLO = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Tell me a story."}]


def client(key=KEY, **more):
    return openai.OpenAI(base_url=URL + "/v1", api_key=key, timeout=60, max_retries=0, **more)


def metric(name):
    request = urllib.request.Request(URL + "/metrics", headers={"Authorization": "Bearer " + KEY})
    with urllib.request.urlopen(request, timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))


def chat(**more):
    return client().chat.completions.create(model=MODEL, messages=HELLO, **{"temperature": 0, "max_completion_tokens": 48, **more})


class OpenAiTest(unittest.TestCase):
    def test_answer(self):
        answer = chat()
        self.assertEqual("chat.completion", answer.object)
        self.assertEqual(MODEL, answer.model)
        choice = answer.choices[0]
        self.assertEqual("assistant", choice.message.role)
        self.assertTrue(choice.message.content)
        self.assertEqual("length", choice.finish_reason)
        self.assertEqual(48, answer.usage.completion_tokens)
        self.assertEqual(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens)

    def test_a_prompt_seen_before_is_cached(self):
        chat()
        self.assertGreater(chat().usage.prompt_tokens_details.cached_tokens, 0)

    def test_stream_is_the_answer_in_pieces(self):
        whole = chat()
        chunks = list(chat(stream=True, stream_options={"include_usage": True}))
        self.assertEqual(whole.choices[0].message.content, "".join(c.choices[0].delta.content or "" for c in chunks if c.choices))
        self.assertEqual("assistant", chunks[0].choices[0].delta.role)
        self.assertEqual(["length"], [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason])
        self.assertEqual([], chunks[-1].choices)
        self.assertEqual(whole.usage.completion_tokens, chunks[-1].usage.completion_tokens)
        self.assertTrue(all(c.usage is None for c in chunks[:-1]))
        self.assertGreater(len(chunks), 10)

    def test_without_include_usage_there_is_none(self):
        self.assertTrue(all(c.choices and c.usage is None for c in chat(stream=True)))

    def test_stop(self):
        text = chat().choices[0].message.content
        stop = text[len(text) // 2:len(text) // 2 + 6]
        stopped = chat(stop=[stop, "never to be seen"]).choices[0]
        self.assertEqual(text[:text.index(stop)], stopped.message.content)
        self.assertEqual("stop", stopped.finish_reason)

    def test_seed(self):
        draw = lambda seed: chat(temperature=1.5, seed=seed).choices[0].message.content
        self.assertEqual(draw(7), draw(7))
        self.assertNotEqual(draw(7), draw(8))

    def test_n(self):
        answer = chat(n=3, temperature=1.5, seed=1)
        self.assertEqual([0, 1, 2], [c.index for c in answer.choices])
        self.assertGreater(len({c.message.content for c in answer.choices}), 1)
        self.assertEqual(3 * 48, answer.usage.completion_tokens)
        seen = {c.choices[0].index for c in chat(n=3, stream=True)}
        self.assertEqual({0, 1, 2}, seen)

    def test_logprobs(self):
        content = chat(logprobs=True, top_logprobs=3, max_completion_tokens=8).choices[0].logprobs.content
        self.assertEqual(8, len(content))
        for token in content:
            self.assertLessEqual(token.logprob, 0)
            self.assertEqual(3, len(token.top_logprobs))
            self.assertAlmostEqual(token.logprob, token.top_logprobs[0].logprob, places=5)  # greedy takes the likeliest
            self.assertEqual(sorted((t.logprob for t in token.top_logprobs), reverse=True), [t.logprob for t in token.top_logprobs])

    def test_logit_bias_forbids_a_token(self):
        first = lambda **more: chat(max_completion_tokens=1, logprobs=True, **more).choices[0].logprobs.content[0].token
        free = first()
        # inside a word, as in an answer: at the beginning of a text some tokenizers put a space in front
        token = client().post("/../tokenize", body={"content": "a" + free}, cast_to=object)["tokens"][-1]
        self.assertNotEqual(free, first(logit_bias={str(token): -100}))

    def test_cancel_ends_the_work(self):
        cancelled = lambda: metric('lacuna_requests_total{model_name="%s",outcome="cancelled"}' % MODEL)
        before = cancelled()
        stream = chat(stream=True, n=8, max_completion_tokens=400)
        next(iter(stream))
        stream.close()
        until = time.monotonic() + 10
        # the step that is under way ends before its sequences do
        while (cancelled() == before or metric("vllm:num_requests_running") > 0) and time.monotonic() < until:
            time.sleep(0.02)
        self.assertEqual(before + 1, cancelled())
        self.assertEqual(0, metric("vllm:num_requests_running"))

    def test_completions(self):
        answer = client().completions.create(model=MODEL, prompt="Once upon a time", temperature=0, max_tokens=24, logprobs=2)
        self.assertTrue(answer.choices[0].text)
        self.assertEqual(24, len(answer.choices[0].logprobs.tokens))
        streamed = client().completions.create(model=MODEL, prompt="Once upon a time", temperature=0, max_tokens=24, stream=True)
        self.assertEqual(answer.choices[0].text, "".join(c.choices[0].text for c in streamed))

    def test_models(self):
        self.assertIn(MODEL, [m.id for m in client().models.list()])
        self.assertEqual(MODEL, client().models.retrieve(MODEL).id)

    def test_wrong_key(self):
        with self.assertRaises(openai.AuthenticationError) as refused:
            client("not the key").models.list()
        self.assertEqual("invalid_api_key", refused.exception.code)

    def test_wrong_model(self):
        with self.assertRaises(openai.NotFoundError) as refused:
            client().chat.completions.create(model="no-such-model", messages=HELLO)
        self.assertEqual("model_not_found", refused.exception.code)

    def test_prompt_that_is_too_long(self):
        for stream in (False, True):
            with self.assertRaises(openai.BadRequestError) as refused:
                client().chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "word " * 2000}], stream=stream)
            self.assertEqual("context_length_exceeded", refused.exception.code)

    def test_unsupported_is_refused_and_unknown_is_named(self):
        with self.assertRaises(openai.BadRequestError) as refused:
            chat(tools=[{"type": "function", "function": {"name": "f"}}])
        self.assertEqual("tools", refused.exception.param)
        raw = client().chat.completions.with_raw_response.create(model=MODEL, messages=HELLO, max_tokens=1, extra_body={"surprise": 1})
        self.assertEqual("surprise", raw.headers["x-lacuna-ignored-fields"])

    def test_many_at_once_get_what_they_get_alone(self):
        prompts = ["Once", "The dog", "A girl", "One day", "Tim", "Lily saw", "The sun", "It was"]
        alone = [client().completions.create(model=MODEL, prompt=p, temperature=0, max_tokens=40).choices[0].text for p in prompts]

        async def ask(c, prompt):
            stream = await c.completions.create(model=MODEL, prompt=prompt, temperature=0, max_tokens=40, stream=True)
            return "".join([chunk.choices[0].text async for chunk in stream])

        async def all_of_them():
            async with openai.AsyncOpenAI(base_url=URL + "/v1", api_key=KEY, timeout=60, max_retries=0) as c:
                return await asyncio.gather(*(ask(c, p) for p in prompts))

        self.assertEqual(alone, asyncio.run(all_of_them()))


if __name__ == "__main__":
    unittest.main(verbosity=2)
