package dev.lacuna.hub;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class CatalogueTest {
    private final Catalogue catalogue = Catalogue.load();

    @ParameterizedTest
    @ValueSource(strings = {"smollm2-135m-instruct", "smollm2-360m-instruct", "smollm2-1.7b-instruct", "llama-3.2-1b-instruct", "llama-3.2-3b-instruct",
            "qwen2.5-0.5b-instruct", "qwen2.5-1.5b-instruct", "qwen2.5-3b-instruct", "qwen3-0.6b", "qwen3-1.7b", "qwen3-4b", "gemma-3-270m", "gemma-3-1b-it",
            "phi-3-mini-4k-instruct", "tinyllama-1.1b-chat", "all-minilm-l6-v2", "bge-small-en-v1.5"})
    void holdsWhatWasPromised(String name) {
        CatalogueEntry entry = catalogue.find(name);
        assertEquals(name, entry.name());
        assertTrue(entry.bytes() > 50_000_000 && entry.bytes() < 5_000_000_000L, entry.toString());
        assertTrue(entry.sources().getFirst().startsWith("hf:"), "the hub comes first");
        assertEquals(entry.approximate(), entry.size().startsWith("~"));
    }

    @Test
    void theDefaultIsTheSameFileFromHubAndPyPi() {
        CatalogueEntry entry = catalogue.find(Catalogue.DEFAULT);
        assertEquals("b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53", entry.sha256());
        assertEquals(List.of("Hub", "PyPi"), entry.sources().stream().map(source -> Source.parse(source).getClass().getSimpleName()).toList());
        Set<String> files = new HashSet<>();
        entry.sources().forEach(source -> files.add(Source.parse(source).fileName()));
        assertEquals(Set.of("SmolLM2-135M-Instruct.Q4_1.gguf"), files);
    }

    @Test
    void findsByAliasInAnyCase() {
        assertEquals("smollm2-135m-instruct", catalogue.find("SmolLM2").name());
        assertEquals("llama-3.2-1b-instruct", catalogue.find("llama3.2:1B").name());
    }

    @Test
    void anUnknownNameGetsTheClosest() {
        String message = assertThrows(SourceException.class, () -> catalogue.find("smolm2-135m-instrct")).getMessage();
        assertTrue(message.contains("did you mean smollm2-135m-instruct"), message);
        assertTrue(!assertThrows(SourceException.class, () -> catalogue.find("zzzzzzzzzz")).getMessage().contains("did you mean"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"{", "{\"version\": 2, \"models\": []}", "{\"version\": 1, \"models\": [{\"name\": \"a\", \"colour\": 1}]}",
            "{\"version\":1,\"models\":[{\"name\":\"../a\",\"title\":\"t\",\"family\":\"f\",\"licence\":\"l\",\"bytes\":1,\"sources\":[\"x\"],\"use\":\"chat\"}]}",
            "{\"version\":1,\"models\":[{\"name\":\"a\",\"title\":\"t\",\"family\":\"f\",\"licence\":\"l\",\"bytes\":1,\"sources\":[\"ftp:x\"],\"use\":\"chat\"}]}",
            "{\"version\":1,\"models\":[{\"name\":\"a\",\"title\":\"t\",\"family\":\"f\",\"licence\":\"l\",\"bytes\":0,\"sources\":[\"x\"],\"use\":\"chat\"}]}"})
    void aMalformedCatalogueIsRefused(String json) {
        assertThrows(IllegalArgumentException.class, () -> Catalogue.read(json.getBytes(StandardCharsets.UTF_8)));
    }
}
