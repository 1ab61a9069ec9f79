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

    /** The number of a format, or null if the kernels do not know it. */
    static @Nullable NativeFormat of(Format format) {
        int code = BY_CODE.indexOf(format);
        if (code >= 0) return new NativeFormat(code, 0);
        if (format.kind() != Format.Kind.INTEGER || !Format.ALL.contains(format)) return null;
        return new NativeFormat(format.bits() == 8 ? BY_CODE.size() : BY_CODE.size() + 1, format.group());
    }
}
