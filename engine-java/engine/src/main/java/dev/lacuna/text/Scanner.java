package dev.lacuna.text;

/** Cuts text into pieces that join to the text again, each found with a bounded number of looks at each character. */
interface Scanner {
    /** The end of the piece that begins at {@code at < end}; nothing from {@code end} on is looked at. */
    int next(String text, int at, int end);
}
