package dev.lacuna.text;

import java.text.Normalizer;
import java.util.List;

/** Rewrites text before it is cut into words. Every form takes time linear in the text. */
interface Normalization {
    /** Runs of combining marks beyond this are normalised in parts, which keeps the reordering of hostile text from growing quadratic. */
    int LONGEST_MARK_RUN = 1024;

    /** No normal form makes more of a character; replacements that feed each other could grow without end. */
    int MOST_GROWTH = 32;
    int SLACK = 4096;

    /**
     * The text rewritten.
     *
     * @throws MalformedTokenizerException when parts of a sequence together make the text many times longer
     */
    String apply(String text);

    /** Whether a quick look shows that {@code text[from, to)} stays as it is. */
    default boolean leaves(String text, int from, int to) {
        return false;
    }

    /** One of Unicode's normal forms. */
    record Form(Normalizer.Form form) implements Normalization {
        @Override
        public String apply(String text) {
            StringBuilder out = new StringBuilder(text.length());
            int start = 0;
            int marks = 0;
            for (int i = 0; i < text.length();) {
                int codePoint = Utf8.codePoint(text, i, text.length());
                marks = Characters.isMark(codePoint) ? marks + 1 : 0;
                if (marks > LONGEST_MARK_RUN) {
                    out.append(Normalizer.normalize(text.substring(start, i), form));
                    start = i;
                    marks = 1;
                }
                i += Character.charCount(codePoint);
            }
            return out.append(Normalizer.normalize(text.substring(start), form)).toString();
        }

        @Override
        public boolean leaves(String text, int from, int to) {
            // below U+0300 there are no combining marks, and below U+00A0 nothing that any form changes
            int limit = form == Normalizer.Form.NFC ? 0x300 : 0xA0;
            for (int i = from; i < to; i++) {
                if (text.charAt(i) >= limit) {
                    return false;
                }
            }
            return true;
        }
    }

    record Prepend(String prefix) implements Normalization {
        @Override
        public String apply(String text) {
            return text.isEmpty() ? text : prefix + text;
        }
    }

    record Append(String suffix) implements Normalization {
        @Override
        public String apply(String text) {
            return text.isEmpty() ? text : text + suffix;
        }
    }

    record Replace(String old, String replacement) implements Normalization {
        @Override
        public String apply(String text) {
            return text.replace(old, replacement);
        }
    }

    /** Two or more spaces become one text. */
    record ReplaceSpaces(String replacement) implements Normalization {
        @Override
        public String apply(String text) {
            StringBuilder out = new StringBuilder(text.length());
            for (int at = 0; at < text.length();) {
                int end = at;
                while (end < text.length() && text.charAt(end) == ' ') {
                    end++;
                }
                if (end - at >= 2) {
                    out.append(replacement);
                    at = end;
                } else {
                    out.append(text.charAt(at++));
                }
            }
            return out.toString();
        }
    }

    record Strip(boolean left, boolean right) implements Normalization {
        @Override
        public String apply(String text) {
            int from = 0;
            int to = text.length();
            while (left && from < to && Characters.isSpace(text.charAt(from))) {
                from++;
            }
            while (right && to > from && Characters.isSpace(text.charAt(to - 1))) {
                to--;
            }
            return text.substring(from, to);
        }
    }

    /** Each character by itself, without the rule for a sigma at the end of a word. */
    record Lowercase() implements Normalization {
        @Override
        public String apply(String text) {
            StringBuilder out = new StringBuilder(text.length());
            text.codePoints().forEach(c -> {
                if (c == 0x130) {
                    out.append("i\u0307");
                } else {
                    out.appendCodePoint(Character.toLowerCase(c));
                }
            });
            return out.toString();
        }
    }

    record StripAccents() implements Normalization {
        @Override
        public String apply(String text) {
            StringBuilder out = new StringBuilder(text.length());
            text.codePoints().filter(c -> !Characters.isMark(c)).forEach(out::appendCodePoint);
            return out.toString();
        }
    }

    record Sequence(List<Normalization> parts) implements Normalization {
        @Override
        public String apply(String text) {
            String normal = text;
            for (Normalization part : parts) {
                normal = part.apply(normal);
                if (normal.length() > MOST_GROWTH * (long) text.length() + SLACK) {
                    throw new MalformedTokenizerException("normalizer",
                            "makes " + normal.length() + " characters of " + text.length() + "; at most " + MOST_GROWTH
                                    + " of each are possible");
                }
            }
            return normal;
        }

        @Override
        public boolean leaves(String text, int from, int to) {
            return parts.stream().allMatch(part -> part.leaves(text, from, to));
        }
    }
}
