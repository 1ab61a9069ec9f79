/** JMH benchmarks of the kernels, through the same interface that models run on. */
@org.jspecify.annotations.NullMarked
package dev.lacuna.benchmarks;
