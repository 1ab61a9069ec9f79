package dev.lacuna.hub;

import java.time.Duration;

/**
 * How long a pull waits.
 *
 * @param connect      for a connection
 * @param probe        for the first answer of a source; later ones may take {@code stall}
 * @param stall        between two pieces of a body
 * @param packageStall without any sign of life from pip or mvn
 * @param attempts     in a row that bring nothing new
 * @param backOff      before the second attempt; grows with each
 */
record Limits(Duration connect, Duration probe, Duration stall, Duration packageStall, int attempts, Duration backOff) {
    static final Limits DEFAULT = new Limits(Duration.ofSeconds(3), Duration.ofSeconds(5), Duration.ofSeconds(30), Duration.ofSeconds(60), 5,
            Duration.ofMillis(500));
}
