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
        int bits = codePoint >>> 6 * (n - 1 - i);
        return i == 0 ? 0xF00 >>> n & 0xFF | bits : 0x80 | bits & 0x3F;
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
        int second = bytes[at + 1] & 0xFF;
        return switch (lead) {
            case 0xE0 -> second >= 0xA0;
            case 0xED -> second < 0xA0;
            case 0xF0 -> second >= 0x90;
            case 0xF4 -> second < 0x90;
            default -> true;
        };
    }
}
