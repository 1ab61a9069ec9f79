package dev.lacuna.kernels.cpu;

import dev.lacuna.ops.Activation;
import dev.lacuna.ops.Input;
import dev.lacuna.ops.KvType;

/** The numbers of choices in {@code kernels.h}. */
final class NativeCodes {
    private NativeCodes() {}

    static int of(Activation f) {
        return switch (f) {
            case SILU -> 0;
            case GELU_TANH -> 1;
            case GELU_ERF -> 2;
            case RELU -> 3;
        };
    }

    static int of(Input input) {
        return switch (input) {
            case Input.F32 f32 -> 0;
            case Input.I8 i8 -> 1;
            case Input.Bf16 bf16 -> 2;
        };
    }

    static int of(KvType type) {
        return switch (type) {
            case F32 -> 0;
            case F16 -> 1;
            case I8 -> 2;
        };
    }
}
