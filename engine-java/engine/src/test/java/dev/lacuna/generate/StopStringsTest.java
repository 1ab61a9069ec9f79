package dev.lacuna.generate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class StopStringsTest {
    private static String feed(StopStrings s, String... pieces) {
        StringBuilder shown = new StringBuilder();
        for (String p : pieces) shown.append(s.add(p)).append('|');
        return shown.append(s.finish()).toString();
    }

    @Test
    void nothingIsHeldBackWithoutStops() {
        assertEquals("a|b|", feed(new StopStrings(List.of()), "a", "b"));
    }

    @Test
    void aStopMayBeginInOnePieceAndEndInAnother() {
        StopStrings s = new StopStrings(List.of("\nUser:"));
        assertEquals("Hi|||", feed(s, "Hi\nU", "ser", ": x"));
        assertTrue(s.stopped());
    }

    @Test
    void whatOnlyLookedLikeAStopIsShown() {
        assertEquals("a||<ex|<", feed(new StopStrings(List.of("<end>")), "a<", "e", "x<"));
    }

    @Test
    void randomSplitsShowTheTextBeforeTheFirstStop() {
        SplittableRandom random = new SplittableRandom(5);
        for (int n = 0; n < 20_000; n++) {
            StringBuilder text = new StringBuilder();
            for (int i = random.nextInt(30); i > 0; i--) text.append((char) ('a' + random.nextInt(3)));
            List<String> stops = List.of("abca", "bb", "cac");
            StopStrings s = new StopStrings(stops);
            StringBuilder shown = new StringBuilder();
            for (int at = 0; at < text.length() && !s.stopped();) {
                int to = Math.min(text.length(), at + 1 + random.nextInt(4));
                shown.append(s.add(text.substring(at, to)));
                at = to;
            }
            shown.append(s.finish());
            int first = stops.stream().mapToInt(x -> text.indexOf(x)).filter(i -> i >= 0).min().orElse(text.length());
            assertTrue(text.toString().startsWith(shown.toString()), "shown is a beginning of the text");
            // a stop that begins later may be complete first when pieces are short
            assertTrue(stops.stream().noneMatch(x -> shown.indexOf(x) >= 0), text + " shown as " + shown);
            if (first == text.length()) assertEquals(text.toString(), shown.toString());
            else assertTrue(s.stopped() && shown.length() >= first, text + " shown as " + shown);
        }
    }
}
