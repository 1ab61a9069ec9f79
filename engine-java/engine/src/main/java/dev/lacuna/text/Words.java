package dev.lacuna.text;

import java.util.function.IntPredicate;
import org.jspecify.annotations.Nullable;

/**
 * The scanners that cut text into words, each of which accepts exactly what the regular expression of its Javadoc or {@link #expression} matches.
 * They look a bounded number of times at each character, so that text of any length takes linear time.
 */
enum Words implements Scanner {
    /** The expression of GPT-2. */
    GPT2("'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+") {
        @Override
        public int next(String text, int at, int end) {
            return gpt2(text, at, end, false);
        }
    },
    /** Every digit alone, and GPT-2 on the stretches between them, each as if it were the whole text. */
    GPT2_DIGITS(null) {
        @Override
        public int next(String text, int at, int end) {
            return gpt2(text, at, end, true);
        }
    },
    /** Llama 3, GPT-4 (cl100k), Phi-4, SmolLM3, OLMo 2. */
    LLAMA3("(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+") {
        @Override
        public int next(String text, int at, int end) {
            return llama3(text, at, end, 3, false);
        }
    },
    /** Qwen 2, 2.5 and 3. */
    QWEN2("(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+") {
        @Override
        public int next(String text, int at, int end) {
            return llama3(text, at, end, 1, false);
        }
    },
    /** Qwen 3.5: marks belong to letters. */
    QWEN35("(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+") {
        @Override
        public int next(String text, int at, int end) {
            return llama3(text, at, end, 1, true);
        }
    },
    /** GPT-4o (o200k), gpt-oss, Llama 4: words also end where capitals begin. */
    O200K("[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
            + "|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
            + "|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+") {
        @Override
        public int next(String text, int at, int end) {
            return cased(text, at, end, 3, true);
        }
    },
    /** Mistral's Tekken. */
    TEKKEN("[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+"
            + "|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*"
            + "|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+") {
        @Override
        public int next(String text, int at, int end) {
            return cased(text, at, end, 1, false);
        }
    },
    /** DeepSeek V3's third step; what it does not match stays together. */
    DEEPSEEK3(
            "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+") {
        @Override
        public int next(String text, int at, int end) {
            int to = at;
            while (to < end) {
                int match = deepseek(text, to, end);
                if (match > to) {
                    return to == at ? match : to;
                }
                to += width(text, to, end);
            }
            return to;
        }
    },
    /** Chinese and Japanese apart from the rest. */
    CJK("[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+") {
        @Override
        public int next(String text, int at, int end) {
            return runOf(text, at, end, c -> (c >= 0x4E00 && c <= 0x9FA5) || (c >= 0x3040 && c <= 0x30FF));
        }
    },
    /** Numbers of at most three digits apart from the rest. */
    THREE_DIGITS("\\p{N}{1,3}") {
        @Override
        public int next(String text, int at, int end) {
            return upTo(3, text, at, end);
        }
    },
    /** Each digit by itself. */
    DIGIT("\\p{N}") {
        @Override
        public int next(String text, int at, int end) {
            return upTo(1, text, at, end);
        }
    },
    /** Numbers apart from the rest. */
    NUMBERS("\\p{N}+") {
        @Override
        public int next(String text, int at, int end) {
            return runOf(text, at, end, Characters::isNumber);
        }
    },
    /** Each punctuation character by itself. */
    PUNCTUATION(null) {
        @Override
        public int next(String text, int at, int end) {
            return isPunctuation(Utf8.codePoint(text, at, end)) ? at + width(text, at, end) : runOf(text, at, end, Words::isPunctuation);
        }
    },
    /** Punctuation apart from the rest. */
    PUNCTUATIONS(null) {
        @Override
        public int next(String text, int at, int end) {
            return runOf(text, at, end, Words::isPunctuation);
        }
    },
    /** Each piece ends with a space. */
    THROUGH_SPACE(null) {
        @Override
        public int next(String text, int at, int end) {
            int space = text.indexOf(' ', at);
            return space < 0 || space >= end ? end : space + 1;
        }
    },
    /** Each piece begins with the character that spells a space. */
    FROM_METASPACE(null) {
        @Override
        public int next(String text, int at, int end) {
            int space = text.indexOf(METASPACE, at + 1);
            return space < 0 || space >= end ? end : space;
        }
    };

    /** What SentencePiece spells a space with. */
    static final char METASPACE = '\u2581';
    private static final byte OTHER = 0;
    private static final byte LETTER = 1;
    private static final byte NUMBER = 2;
    private static final byte SPACE = 3;
    // letters without case, and marks, are both
    private static final int UPPER = 1;
    private static final int LOWER = 2;
    private static final byte[] CLASSES = new byte[1 << 16];

    static {
        for (int c = 0; c < CLASSES.length; c++) {
            CLASSES[c] = classOf(c);
        }
    }

    private final @Nullable String expression;

    Words(@Nullable String expression) {
        this.expression = expression;
    }

    /** The regular expression that tokenizer.json may name, null where the scanner stands for something else. */
    @Nullable
    String expression() {
        return expression;
    }

    /** Whether the expression matches every character of any text. */
    boolean matchesEverything() {
        return switch (this) {
            case GPT2, LLAMA3, QWEN2, QWEN35, O200K, TEKKEN -> true;
            default -> false;
        };
    }

    @Override
    public abstract int next(String text, int at, int end);

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
        if (kind != SPACE || to == end || to == at + 1 || (digitsApart && kind(text, to, end) == NUMBER)) {
            return to;
        }
        return to - 1; // the last space belongs to the word after it
    }

    private static int llama3(String text, int at, int end, int digits, boolean marks) {
        char c = text.charAt(at);
        if (c == '\'') {
            int contraction = contraction(text, at, end, true);
            if (contraction > 0) {
                return at + contraction;
            }
        }
        int kind = kind(text, at, end, marks);
        if (kind == LETTER) {
            return letters(text, at, end, marks);
        }
        if (kind == NUMBER) {
            int to = at;
            for (int i = 0; i < digits && to < end && kind(text, to, end) == NUMBER; i++) {
                to += width(text, to, end);
            }
            return to;
        }
        int after = at + width(text, at, end);
        int following = after < end ? kind(text, after, end, marks) : SPACE;
        if (following == LETTER && c != '\r' && c != '\n') {
            return letters(text, after, end, marks);
        }
        if (kind == OTHER || (c == ' ' && following == OTHER)) {
            int to = kind == OTHER ? at : after;
            while (to < end && kind(text, to, end, marks) == OTHER) {
                to += width(text, to, end);
            }
            while (to < end && isNewline(text.charAt(to))) {
                to++;
            }
            return to;
        }
        return spaces(text, at, end);
    }

    /** {@code \s*[\r\n]+|\s+(?!\S)|\s+} at a space. */
    private static int spaces(String text, int at, int end) {
        int to = run(text, at, end, SPACE);
        for (int i = to; i > at; i--) {
            if (isNewline(text.charAt(i - 1))) {
                return i;
            }
        }
        return to == end || to == at + 1 ? to : to - 1;
    }

    private static int kind(String text, int at, int end, boolean marks) {
        int kind = kind(text, at, end);
        return marks && kind == OTHER && Characters.isMark(Utf8.codePoint(text, at, end)) ? LETTER : kind;
    }

    private static int letters(String text, int at, int end, boolean marks) {
        int to = at;
        while (to < end && kind(text, to, end, marks) == LETTER) {
            to += width(text, to, end);
        }
        return to;
    }

    /** The families of expressions that tell capitals from small letters. */
    private static int cased(String text, int at, int end, int digits, boolean contractions) {
        char c = text.charAt(at);
        int type = letterType(text, at, end);
        int kind = kind(text, at, end);
        int after = at + width(text, at, end);
        boolean prefix = kind != LETTER && kind != NUMBER && c != '\r' && c != '\n';
        int word = -1;
        for (int alternative = 0; alternative < 2 && word < 0; alternative++) {
            if (prefix && after < end) {
                word = alternative == 0 ? small(text, after, end) : capitals(text, after, end);
            }
            if (word < 0 && type != 0) {
                word = alternative == 0 ? small(text, at, end) : capitals(text, at, end);
            }
        }
        if (word > 0) {
            return contractions && word < end && text.charAt(word) == '\'' ? word + contraction(text, word, end, true) : word;
        }
        if (kind == NUMBER) {
            return upTo(digits, text, at, end);
        }
        if (kind == OTHER || (c == ' ' && after < end && kind(text, after, end) == OTHER)) {
            int to = run(text, kind == OTHER ? at : after, end, OTHER);
            while (to < end && (isNewline(text.charAt(to)) || text.charAt(to) == '/')) {
                to++;
            }
            return to;
        }
        return spaces(text, at, end);
    }

    private static int letterType(String text, int at, int end) {
        return switch (Character.getType(Utf8.codePoint(text, at, end))) {
            case Character.UPPERCASE_LETTER, Character.TITLECASE_LETTER -> UPPER;
            case Character.LOWERCASE_LETTER -> LOWER;
            case Character.MODIFIER_LETTER, Character.OTHER_LETTER, Character.NON_SPACING_MARK, Character.ENCLOSING_MARK,
                    Character.COMBINING_SPACING_MARK ->
                UPPER | LOWER;
            default -> 0;
        };
    }

    private static int runOfType(String text, int at, int end, int type) {
        int to = at;
        while (to < end && (letterType(text, to, end) & type) != 0) {
            to += width(text, to, end);
        }
        return to;
    }

    /** {@code upper* lower+}: where no small letter follows the run, the last character of both classes ends the match. */
    private static int small(String text, int at, int end) {
        int upper = runOfType(text, at, end, UPPER);
        if (upper < end && (letterType(text, upper, end) & LOWER) != 0) {
            return runOfType(text, upper, end, LOWER);
        }
        for (int to = upper; to > at;) {
            int before = to - Character.charCount(text.codePointBefore(to));
            if ((letterType(text, before, end) & LOWER) != 0) {
                return to;
            }
            to = before;
        }
        return -1;
    }

    /** {@code upper+ lower*}. */
    private static int capitals(String text, int at, int end) {
        int upper = runOfType(text, at, end, UPPER);
        return upper > at ? runOfType(text, upper, end, LOWER) : -1;
    }

    private static boolean isPunctuationOrSymbol(int c) {
        return Characters.isPunctuation(c) || Characters.isSymbol(c);
    }

    private static boolean isPunctuation(int c) {
        return (c < 0x80 && Characters.isSymbol(c)) || Characters.isPunctuation(c);
    }

    private static boolean isLetterOrMark(int c) {
        return Character.isLetter(c) || Characters.isMark(c);
    }

    private static boolean isLatin(char c) {
        return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    }

    /** The end of DeepSeek's match at a place, which is the place itself where nothing matches. */
    private static int deepseek(String text, int at, int end) {
        int c = Utf8.codePoint(text, at, end);
        int after = at + Character.charCount(c);
        int following = after < end ? Utf8.codePoint(text, after, end) : -1;
        boolean sign = isPunctuationOrSymbol(c);
        if (c < 0x80 && sign && following >= 0 && following < 0x80 && isLatin((char) following)) {
            int to = after;
            while (to < end && isLatin(text.charAt(to))) {
                to++;
            }
            return to;
        }
        boolean prefix = c != '\r' && c != '\n' && !Character.isLetter(c) && !sign && following >= 0 && isLetterOrMark(following);
        if (prefix || isLetterOrMark(c)) {
            return whileTrue(text, prefix ? after : at, end, Words::isLetterOrMark);
        }
        if (sign || (c == ' ' && following >= 0 && isPunctuationOrSymbol(following))) {
            int to = whileTrue(text, sign ? at : after, end, Words::isPunctuationOrSymbol);
            while (to < end && isNewline(text.charAt(to))) {
                to++;
            }
            return to;
        }
        return Characters.isSpace(c) ? spaces(text, at, end) : at;
    }

    private static int whileTrue(String text, int at, int end, IntPredicate test) {
        int to = at;
        while (to < end && test.test(Utf8.codePoint(text, to, end))) {
            to += width(text, to, end);
        }
        return to;
    }

    /** The end of the run of characters that pass a test as the first one does. */
    private static int runOf(String text, int at, int end, IntPredicate test) {
        return whileTrue(text, at, end, test.test(Utf8.codePoint(text, at, end)) ? test : test.negate());
    }

    private static int upTo(int digits, String text, int at, int end) {
        if (!Characters.isNumber(Utf8.codePoint(text, at, end))) {
            return runOf(text, at, end, Characters::isNumber);
        }
        int to = at;
        for (int i = 0; i < digits && to < end && Characters.isNumber(Utf8.codePoint(text, to, end)); i++) {
            to += width(text, to, end);
        }
        return to;
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
        return ((first == 'r' || first == 'v') && second == 'e') || (first == 'l' && second == 'l') ? 3 : 0;
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
            default -> (c >= 9 && c <= 13) || c == 0x85 ? SPACE : OTHER;
        };
    }
}
