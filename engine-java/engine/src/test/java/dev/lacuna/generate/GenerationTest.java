package dev.lacuna.generate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lacuna.Lacuna;
import dev.lacuna.Options;
import dev.lacuna.TinyModel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a server asks of generations: news without waiting, log-probabilities, biases, caches apart, failures told. */
class GenerationTest {
    @TempDir
    static Path folder;
    static Lacuna model;

    @BeforeAll
    static void open() {
        model = open("tiny.gguf");
    }

    private static Lacuna open(String file) {
        return Lacuna.open(TinyModel.write(folder.resolve(file)), Options.DEFAULT.withKernels("reference"));
    }

    @AfterAll
    static void close() {
        model.close();
    }

    /** All pieces, by asking whenever there is news. */
    private static List<Piece> follow(Generation g) throws InterruptedException {
        Semaphore news = new Semaphore(0);
        g.listen(news::release);
        List<Piece> pieces = new ArrayList<>();
        while (true) {
            assertTrue(news.tryAcquire(60, TimeUnit.SECONDS), "no news for a minute");
            boolean done = g.done();
            for (Piece p = g.poll(); p != null; p = g.poll()) pieces.add(p);
            if (done) return pieces;
        }
    }

    @Test
    void newsComeToWhoListens() throws InterruptedException {
        Generation g = model.generate("abc", Sampling.GREEDY.withMaxTokens(10));
        StringBuilder text = new StringBuilder();
        for (Piece p : follow(g)) text.append(p.text());
        assertTrue(g.started());
        assertEquals(g.result().text(), text.toString());
        assertNull(g.poll());
        assertEquals(10, g.result().outputIds().length);
    }

    @Test
    void logprobsAreNormalisedAndInOrder() throws InterruptedException {
        int all = Sampling.MAX_LOGPROBS;
        Generation g = model.generate("abc", Sampling.GREEDY.withMaxTokens(6).withLogprobs(all));
        List<TokenLogprob> told = new ArrayList<>();
        for (Piece p : follow(g)) told.addAll(p.logprobs());
        int[] ids = g.result().outputIds();
        assertEquals(ids.length, told.size());
        for (int i = 0; i < ids.length; i++) {
            TokenLogprob t = told.get(i);
            assertEquals(ids[i], t.token());
            assertEquals(all, t.top().size());
            assertEquals(t.token(), t.top().getFirst().token(), "greedy takes the likeliest");
            double mass = 0;
            for (int k = 0; k < all; k++) {
                mass += Math.exp(t.top().get(k).logprob());
                if (k > 0) assertTrue(t.top().get(k).logprob() <= t.top().get(k - 1).logprob());
            }
            assertTrue(mass <= 1 + 1e-9 && mass > 0, "probabilities of " + all + " tokens sum to " + mass);
        }
        assertEquals(model.generate("abc", Sampling.GREEDY.withMaxTokens(6)).result().text(), g.result().text());
    }

    @Test
    void logprobsSumToOneOverTheVocabulary() {
        float[] logits = {9, 1, 2, 3, 9};
        double mass = 0;
        for (int t = 0; t < 3; t++) mass += Math.exp(TokenLogprob.of(logits, 1, 3, t, 2).logprob());
        assertEquals(1, mass, 1e-12);
        assertEquals(2, TokenLogprob.of(logits, 1, 3, 0, 2).top().getFirst().token());
        assertTrue(TokenLogprob.of(logits, 1, 3, 0, 0).top().isEmpty());
    }

    @Test
    void aBiasForcesOrForbids() {
        int q = model.tokenizer().id("q").orElseThrow();
        assertEquals("qqqqq", model.generate("abc", Sampling.GREEDY.withMaxTokens(5).withLogitBias(Map.of(q, 100f))).result().text());
        Result free = model.generate("abc", Sampling.GREEDY.withMaxTokens(1)).result();
        int first = free.outputIds()[0];
        Result other = model.generate("abc", Sampling.GREEDY.withMaxTokens(1).withLogitBias(Map.of(first, -100f))).result();
        assertTrue(other.outputIds()[0] != first);
        int size = model.tokenizer().size();
        assertThrows(IllegalArgumentException.class, () -> model.generate("abc", Sampling.GREEDY.withLogitBias(Map.of(size, 1f))));
        assertThrows(IllegalArgumentException.class, () -> Sampling.GREEDY.withLogitBias(Map.of(1, Float.NaN)));
        assertThrows(IllegalArgumentException.class, () -> Sampling.GREEDY.withLogprobs(Sampling.MAX_LOGPROBS + 1));
    }

    @Test
    void namespacesShareNothing() {
        int[] prompt = model.encode("a prefix that is longer than one block of the cache, by far");
        Sampling one = Sampling.GREEDY.withMaxTokens(1);
        Result first = model.generate(prompt, one, "anna").result();
        assertEquals(0, first.cachedTokens());
        assertEquals(prompt.length - 1, model.generate(prompt, one, "anna").result().cachedTokens());
        assertEquals(0, model.generate(prompt, one, "ben").result().cachedTokens());
        assertEquals(first.text(), model.generate(prompt, one, "ben").result().text());
    }

    @Test
    void statsComeToRest() throws InterruptedException {
        Generation g = model.generate("abc", Sampling.GREEDY.withMaxTokens(20));
        g.result();
        for (int i = 0; i < 1000 && model.stats().running() > 0; i++) TimeUnit.MILLISECONDS.sleep(5);
        EngineStats s = model.stats();
        assertEquals(0, s.running());
        assertEquals(0, s.blocksInUse());
        assertTrue(s.blocksCached() > 0 && s.blocksCached() <= s.blocks(), s.toString());
    }

    @Test
    void anEngineThatDiesFailsWhatItHeldAndSaysSo() throws InterruptedException {
        try (Lacuna doomed = open("doomed.gguf")) {
            List<Generation> held = new ArrayList<>();
            for (int i = 0; i < 20; i++) held.add(doomed.generate("abc" + i, Sampling.GREEDY));
            Thread.getAllStackTraces().keySet().stream().filter(t -> t.getName().equals("lacuna-engine")).max(
                    Comparator.comparingLong(Thread::threadId)).orElseThrow().interrupt();
            for (Generation g : held) assertThrows(GenerationException.class, g::result);
            for (int i = 0; i < 1000 && doomed.failure() == null; i++) TimeUnit.MILLISECONDS.sleep(5);
            assertNotNull(doomed.failure());
            assertThrows(IllegalStateException.class, () -> doomed.generate("abc", Sampling.GREEDY));
        }
        assertEquals(5, model.generate("abc", Sampling.GREEDY.withMaxTokens(5)).result().outputIds().length, "another engine goes on");
    }
}
