package dev.lacuna.ops;

import dev.lacuna.tensor.Codec;
import java.util.Optional;
import java.util.stream.Stream;

/** The arithmetic that a product's activations come in. */
public sealed interface Input {
    /** Whether weights of float formats take it: their values would lose with 8-bit inputs, and gain nothing. */
    boolean takesFloats();

    /** Single precision. */
    record F32() implements Input {
        @Override
        public boolean takesFloats() {
            return true;
        }

        @Override
        public String toString() {
            return "F32";
        }
    }

    /**
     * Both operands rounded to bfloat16, ties to even, the weights from the single-precision values that their format stands for; products are summed in
     * single precision, where what is subnormal may count as zero.
     */
    record Bf16() implements Input {
        /** The value that is left of a float. */
        public static float round(float v) {
            return Codec.bfloat16ToFloat(Codec.floatToBfloat16(v));
        }

        @Override
        public boolean takesFloats() {
            return true;
        }

        @Override
        public String toString() {
            return "BF16";
        }
    }

    /**
     * Signed bytes with one scale for each {@code block} inputs: {@code d = max|x| / 127}, {@code q = rint(x * (1 / d))}, both in single precision. The
     * last block of a row may be shorter.
     *
     * @param block inputs that share a scale: 32, 64, 128, or 0 for all of a row
     */
    record I8(int block) implements Input {
        public I8 {
            if (block != 0 && block != 32 && block != 64 && block != 128) {
                throw new IllegalArgumentException("8-bit inputs have a scale per 32, 64, 128 or row (0), not per " + block);
            }
        }

        /** Inputs that share a scale in rows of {@code cols}. */
        public int blockOf(int cols) {
            return block == 0 ? cols : block;
        }

        @Override
        public boolean takesFloats() {
            return false;
        }

        @Override
        public String toString() {
            return block == 0 ? "I8/row" : "I8/" + block;
        }
    }

    Input F32 = new F32();
    Input BF16 = new Bf16();
    Input I8 = new I8(32);

    /** The input that prints as this name in any case, if there is one; {@code i8} and {@code int8} are {@link #I8}. */
    static Optional<Input> named(String name) {
        String full = name.equalsIgnoreCase("i8") || name.equalsIgnoreCase("int8") ? I8.toString() : name;
        return Stream.of(F32, BF16, I8, new I8(64), new I8(128), new I8(0)).filter(i -> i.toString().equalsIgnoreCase(full)).findFirst();
    }
}
