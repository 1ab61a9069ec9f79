package dev.lacuna.ops;

/** The arithmetic that a product's activations come in. */
public sealed interface Input {
    /** Single precision. */
    record F32() implements Input {
        @Override
        public String toString() {
            return "F32";
        }
    }

    /**
     * Signed bytes with one scale for each {@code block} inputs: {@code d = max|x| / 127}, {@code q = rint(x * (1 / d))}, both in single precision.
     *
     * @param block inputs that share a scale
     */
    record I8(int block) implements Input {
        public I8 {
            if (block != 32) throw new IllegalArgumentException("8-bit inputs have a scale per 32, not " + block);
        }

        @Override
        public String toString() {
            return "I8/" + block;
        }
    }

    Input F32 = new F32();
    Input I8 = new I8(32);
}
