package dev.lacuna.ops;

/**
 * What the machine itself gives to a tier's threads, measured when asked: the ceilings that a kernel's rate is compared with (Williams et al., Roofline,
 * 2009). A call takes some 20 to 100 ms, and may be made between the steps of a model.
 */
public interface MachineRates extends AutoCloseable {
    /** Bytes of the memory that is streamed, far more than caches hold. */
    long LARGE = 1L << 30;

    /**
     * Reads the first {@code buffer} bytes of a large memory, over and over if they are few.
     *
     * @param buffer 1 to {@link #LARGE}; a buffer of a model's size meets the caches as the model does
     * @return bytes a second, all threads together
     */
    double bytesPerSecond(long buffer);

    /** Operations a second of 8-bit multiply-adds on registers, two for each, all threads together. */
    double int8PerSecond();

    /** The same for bfloat16; in single precision where no instruction of the tier multiplies bfloat16. */
    double bf16PerSecond();

    /** Frees the memory; idempotent. */
    @Override
    void close();
}
