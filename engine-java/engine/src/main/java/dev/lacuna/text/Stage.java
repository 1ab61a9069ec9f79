package dev.lacuna.text;

/** One step between normalised text and words. */
sealed interface Stage {
    /** Cuts into pieces. */
    record Cut(Scanner scanner) implements Stage {}

    /** Cuts at white space and drops it. */
    record DropSpace() implements Stage {}

    /** When a space is put in front of a piece that does not begin with one. */
    enum Prefix {
        NEVER, FIRST, ALWAYS
    }

    /** Spells spaces with another character, after putting one in front. */
    record Spell(char space, Prefix prefix) implements Stage {}
}
