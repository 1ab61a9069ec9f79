/** The processor's backend: one team of threads, operands outside the heap, and single-threaded loops in two tiers. */
@org.jspecify.annotations.NullMarked
package dev.lacuna.kernels.cpu;
