package dev.lacuna.text;

/** One character to UTF-8, and where a stream of bytes may be cut. */
final class Utf8 {
    private Utf8() {}

    /** The code point at a place; U+FFFD for an unpaired surrogate. */
    static int codePoint(String text, int at, int end) {
        char c = text.charAt(at);
        if (!Character.isSurrogate(c)) {
            return c;
        }
        if (Character.isHighSurrogate(c) && at + 1 < end && Character.isLowSurrogate(text.charAt(at + 1))) {
            return Character.toCodePoint(c, text.charAt(at + 1));
        }
        return 0xFFFD;
    }

    /** Byte {@code i} of a code point's n bytes. */
    static int unit(int codePoint, int i, int n) {
        if (n == 1) {
            return codePoint;
        }
        int bits = codePoint >>> (6 * (n - 1 - i));
        return i == 0 ? ((0xF00 >>> n) & 0xFF) | bits : 0x80 | (bits & 0x3F);
    }

    static int length(int codePoint) {
        return codePoint < 0x80 ? 1 : codePoint < 0x800 ? 2 : codePoint < 0x10000 ? 3 : 4;
    }

    /** How many of the last bytes begin a character that is well-formed so far but not complete: 0 to 3. */
    static int incomplete(byte[] bytes, int n) {
        for (int back = 1; back <= Math.min(3, n); back++) {
            int lead = bytes[n - back] & 0xFF;
            if (lead >= 0xC0) {
                return startsCharacter(bytes, n - back, back) ? back : 0;
            }
            if (lead < 0x80) {
                return 0;
            }
        }
        return 0;
    }

    // Unicode 16, table 3-7: the second byte's range depends on the first
    private static boolean startsCharacter(byte[] bytes, int at, int available) {
        int lead = bytes[at] & 0xFF;
        int length = lead < 0xC2 || lead > 0xF4 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
        if (available >= length) {
            return false;
        }
        if (available == 1) {
            return true;
        }
        return secondFits(lead, bytes[at + 1] & 0xFF);
    }

    private static boolean secondFits(int lead, int second) {
        return switch (lead) {
            case 0xE0 -> second >= 0xA0;
            case 0xED -> second < 0xA0;
            case 0xF0 -> second >= 0x90;
            case 0xF4 -> second < 0x90;
            default -> true;
        };
    }

    /**
     * Text of bytes that may be malformed: each longest beginning of a character that is not complete, and each byte that begins none, becomes one U+FFFD
     * (Unicode 16, section 3.9; what the reference tokenizers do, and the JDK does not at the end of its input).
     */
    static String decode(byte[] bytes, int n) {
        StringBuilder text = new StringBuilder(n);
        for (int at = 0; at < n;) {
            int lead = bytes[at];
            if (lead >= 0) {
                text.append((char) lead);
                at++;
                continue;
            }
            int length = 1;
            while (at + length < n && startsCharacter(bytes, at, length) && bytes[at + length] < -64 && isSecond(bytes, at, length)) {
                length++;
            }
            int codePoint = length > 1 && !startsCharacter(bytes, at, length) ? join(bytes, at, length) : 0xFFFD;
            text.appendCodePoint(codePoint);
            at += length;
        }
        return text.toString();
    }

    // the byte after the lead must also leave the character well-formed
    private static boolean isSecond(byte[] bytes, int at, int length) {
        return length > 1 || secondFits(bytes[at] & 0xFF, bytes[at + 1] & 0xFF);
    }

    private static int join(byte[] bytes, int at, int length) {
        int codePoint = bytes[at] & (0xFF >>> (length + 1));
        for (int i = 1; i < length; i++) {
            codePoint = (codePoint << 6) | (bytes[at + i] & 0x3F);
        }
        return codePoint;
    }
}
