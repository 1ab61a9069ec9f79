package dev.lacuna.text;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.text.BreakIterator;
import java.util.Base64;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/**
 * SentencePiece's table of replacements, such as nmt_nfkc: a double-array trie (Aoe, 1989) over UTF-8 whose values are places in a list of texts that end
 * with a zero byte. Applied to whole user-perceived characters of less than six bytes first and to single characters then, as Hugging Face does.
 */
final class Charsmap implements Normalization {
    private static final String KEY = "normalizer.precompiled_charsmap";
    private static final int SHORT_CLUSTER = 6;
    private final int[] units;
    private final byte[] texts;

    private Charsmap(int[] units, byte[] texts) {
        this.units = units;
        this.texts = texts;
    }

    static Charsmap of(String base64) {
        byte[] bytes;
        try {
            bytes = Base64.getDecoder().decode(base64);
        } catch (IllegalArgumentException invalid) {
            throw new MalformedTokenizerException(KEY, "is not Base64");
        }
        ByteBuffer buffer = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
        long size = bytes.length < 4 ? -1 : Integer.toUnsignedLong(buffer.getInt());
        if (size < 4 || size % 4 != 0 || size > buffer.remaining()) {
            throw new MalformedTokenizerException(KEY, "holds a trie of " + size + " bytes in " + bytes.length);
        }
        int[] units = new int[(int) size / 4];
        buffer.asIntBuffer().get(units);
        byte[] texts = new byte[bytes.length - 4 - (int) size];
        System.arraycopy(bytes, bytes.length - texts.length, texts, 0, texts.length);
        return new Charsmap(units, texts);
    }

    @Override
    public String apply(String text) {
        StringBuilder out = new StringBuilder(text.length());
        BreakIterator clusters = BreakIterator.getCharacterInstance(Locale.ROOT);
        clusters.setText(text);
        int from = 0;
        for (int to = clusters.next(); to != BreakIterator.DONE; to = clusters.next()) {
            cluster(text, from, to, out);
            from = to;
        }
        return out.toString();
    }

    private void cluster(String text, int from, int to, StringBuilder out) {
        if (to - from < SHORT_CLUSTER) {
            byte[] bytes = text.substring(from, to).getBytes(StandardCharsets.UTF_8);
            String whole = bytes.length < SHORT_CLUSTER ? replacement(bytes) : null;
            if (whole != null) {
                out.append(whole);
                return;
            }
        }
        for (int at = from; at < to;) {
            int codePoint = Utf8.codePoint(text, at, to);
            String replaced = replacement(Character.toString(codePoint).getBytes(StandardCharsets.UTF_8));
            if (replaced == null) {
                out.appendCodePoint(codePoint);
            } else {
                out.append(replaced);
            }
            at += Character.charCount(codePoint);
        }
    }

    /** The text for the shortest beginning of the key that the trie holds. */
    private @Nullable String replacement(byte[] key) {
        int place = offset(units[0]);
        for (byte b : key) {
            place ^= b & 0xFF;
            if (b == 0 || place < 0 || place >= units.length || (units[place] & 0x800000FF) != (b & 0xFF)) {
                return null;
            }
            int unit = units[place];
            place ^= offset(unit);
            if ((unit >>> 8 & 1) == 1) {
                return place < 0 || place >= units.length ? null : text(units[place] & Integer.MAX_VALUE);
            }
        }
        return null;
    }

    private @Nullable String text(int from) {
        if (from > texts.length) {
            return null;
        }
        int to = from;
        while (to < texts.length && texts[to] != 0) {
            to++;
        }
        return Utf8.decode(java.util.Arrays.copyOfRange(texts, from, to), to - from);
    }

    private static int offset(int unit) {
        return (unit >>> 10) << ((unit & (1 << 9)) >>> 6);
    }
}
