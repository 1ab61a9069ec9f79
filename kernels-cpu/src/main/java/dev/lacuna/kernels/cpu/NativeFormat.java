package dev.lacuna.kernels.cpu;

import dev.lacuna.tensor.Format;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A format as the C kernels number it, see {@code kernels.h}.
 *
 * @param code  its number
 * @param group values that share a scale where the code does not say it, else 0
 */
record NativeFormat(int code, int group) {
    private static final List<Format> BY_CODE = List.of(Format.F32, Format.F16, Format.BF16, Format.Q8_0, Format.Q4_0, Format.Q4_1,
            Format.Q5_0,
            Format.Q5_1, Format.Q4_K, Format.Q5_K, Format.Q6_K, Format.I8_ROW);
    private static final int I8_GROUP = BY_CODE.size();
    private static final int I4_GROUP = I8_GROUP + 1;
    private static final int I8_24 = I4_GROUP + 1;
    private static final int I4_24 = I8_24 + 1;
    private static final int I8_BITMASK = I4_24 + 1;
    private static final int I4_BITMASK = I8_BITMASK + 1;

    /** The number of a format, or null if the kernels do not know it. */
    static @Nullable NativeFormat of(Format format) {
        int code = BY_CODE.indexOf(format);
        if (code >= 0) return new NativeFormat(code, 0);
        if (!Format.ALL.contains(format)) return null;
        boolean bytes = format.bits() == 8;
        return switch (format.kind()) {
            case INTEGER -> new NativeFormat(bytes ? I8_GROUP : I4_GROUP, format.group());
            case SPARSE -> new NativeFormat(format.variable() ? bytes ? I8_BITMASK : I4_BITMASK : bytes ? I8_24 : I4_24, format.group());
            default -> null;
        };
    }

    /** Whether tiles differ in length. */
    boolean variable() {
        return code >= I8_BITMASK;
    }

    /** Bytes after the last tile that kernels may read: what they expand they load as whole registers. */
    long readBeyond() {
        return code >= I8_24 ? 64 : 0;
    }
}
