package dev.lacuna.text;

import java.util.Set;
import java.util.TreeSet;

/**
 * Cuts text into words before byte-level merging. Each scanner accepts exactly what the regular expression beside it matches, at most three looks at
 * each character.
 */
enum PreTokenizer {
    /** {@code 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+} */
    GPT2(Set.of("gpt-2", "gpt2", "default")) {
        @Override
        int next(String text, int at, int end) {
            return gpt2(text, at, end, false);
        }
    },
    /** Every digit alone; GPT-2 on the stretches between them, each as if it were the whole text. */
    SMOLLM(Set.of("smollm", "starcoder", "refact")) {
        @Override
        int next(String text, int at, int end) {
            return gpt2(text, at, end, true);
        }
    },
    /** {@code (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+} */
    LLAMA3(Set.of("llama-bpe", "llama3", "llama-v3")) {
        @Override
        int next(String text, int at, int end) {
            return llama3(text, at, end, 3);
        }
    },
    /** As LLAMA3 with {@code \p{N}}, on text in normal form C. */
    QWEN2(Set.of("qwen2")) {
        @Override
        int next(String text, int at, int end) {
            return llama3(text, at, end, 1);
        }
    };

    private static final byte OTHER = 0;
    private static final byte LETTER = 1;
    private static final byte NUMBER = 2;
    private static final byte SPACE = 3;
    private static final byte[] CLASSES = new byte[1 << 16];

    static {
        for (int c = 0; c < CLASSES.length; c++) {
            CLASSES[c] = classOf(c);
        }
    }

    private final Set<String> names;

    PreTokenizer(Set<String> names) {
        this.names = names;
    }

    /** The end of the word that begins at {@code at < end}. */
    abstract int next(String text, int at, int end);

    static PreTokenizer of(String key, String name) {
        for (PreTokenizer each : values()) {
            if (each.names.contains(name)) {
                return each;
            }
        }
        Set<String> supported = new TreeSet<>();
        for (PreTokenizer each : values()) {
            supported.addAll(each.names);
        }
        throw new UnsupportedTokenizerException(key, name, supported);
    }

    private static int gpt2(String text, int at, int end, boolean digitsApart) {
        char c = text.charAt(at);
        if (c == '\'') {
            int contraction = contraction(text, at, end, false);
            if (contraction > 0) {
                return at + contraction;
            }
        }
        int kind = kind(text, at, end);
        if (kind == NUMBER && digitsApart) {
            return at + width(text, at, end);
        }
        int start = at;
        if (c == ' ' && at + 1 < end) {
            int following = kind(text, at + 1, end);
            if (following != SPACE && !(following == NUMBER && digitsApart)) {
                kind = following;
                start = at + 1;
            }
        }
        int to = run(text, start, end, kind);
        if (kind != SPACE || to == end || to == at + 1 || digitsApart && kind(text, to, end) == NUMBER) {
            return to;
        }
        return to - 1; // the last space belongs to the word after it
    }

    private static int llama3(String text, int at, int end, int digits) {
        char c = text.charAt(at);
        if (c == '\'') {
            int contraction = contraction(text, at, end, true);
            if (contraction > 0) {
                return at + contraction;
            }
        }
        int kind = kind(text, at, end);
        if (kind == LETTER) {
            return run(text, at, end, LETTER);
        }
        if (kind == NUMBER) {
            int to = at;
            for (int i = 0; i < digits && to < end && kind(text, to, end) == NUMBER; i++) {
                to += width(text, to, end);
            }
            return to;
        }
        int after = at + width(text, at, end);
        int following = after < end ? kind(text, after, end) : SPACE;
        if (following == LETTER && c != '\r' && c != '\n') {
            return run(text, after, end, LETTER);
        }
        if (kind == OTHER || c == ' ' && following == OTHER) {
            int to = run(text, kind == OTHER ? at : after, end, OTHER);
            while (to < end && isNewline(text.charAt(to))) {
                to++;
            }
            return to;
        }
        int to = run(text, at, end, SPACE);
        for (int i = to; i > at; i--) {
            if (isNewline(text.charAt(i - 1))) {
                return i;
            }
        }
        return to == end || to == at + 1 ? to : to - 1;
    }

    private static boolean isNewline(char c) {
        return c == '\n' || c == '\r';
    }

    /** The length of an English contraction at an apostrophe, 0 if there is none. */
    private static int contraction(String text, int at, int end, boolean anyCase) {
        if (at + 1 >= end) {
            return 0;
        }
        char first = fold(text.charAt(at + 1), anyCase);
        if (first == 's' || first == 't' || first == 'm' || first == 'd') {
            return 2;
        }
        if (at + 2 >= end) {
            return 0;
        }
        char second = fold(text.charAt(at + 2), anyCase);
        return first == 'r' && second == 'e' || first == 'v' && second == 'e' || first == 'l' && second == 'l' ? 3 : 0;
    }

    private static char fold(char c, boolean anyCase) {
        if (!anyCase) {
            return c;
        }
        return c >= 'A' && c <= 'Z' ? (char) (c + 32) : c == '\u017F' ? 's' : c; // the long s folds to s
    }

    private static int run(String text, int at, int end, int kind) {
        while (at < end && kind(text, at, end) == kind) {
            at += width(text, at, end);
        }
        return at;
    }

    private static int width(String text, int at, int end) {
        return Character.isHighSurrogate(text.charAt(at)) && at + 1 < end && Character.isLowSurrogate(text.charAt(at + 1)) ? 2 : 1;
    }

    private static int kind(String text, int at, int end) {
        char c = text.charAt(at);
        if (Character.isHighSurrogate(c) && at + 1 < end && Character.isLowSurrogate(text.charAt(at + 1))) {
            return classOf(Character.toCodePoint(c, text.charAt(at + 1)));
        }
        return CLASSES[c];
    }

    private static byte classOf(int c) {
        return switch (Character.getType(c)) {
            case Character.UPPERCASE_LETTER, Character.LOWERCASE_LETTER, Character.TITLECASE_LETTER, Character.MODIFIER_LETTER,
                    Character.OTHER_LETTER ->
                LETTER;
            case Character.DECIMAL_DIGIT_NUMBER, Character.LETTER_NUMBER, Character.OTHER_NUMBER -> NUMBER;
            case Character.SPACE_SEPARATOR, Character.LINE_SEPARATOR, Character.PARAGRAPH_SEPARATOR -> SPACE;
            default -> c >= 9 && c <= 13 || c == 0x85 ? SPACE : OTHER;
        };
    }
}
