/**
 * What kernels implement and what the model calls: the operations of one memory space, their operands, and the checks in front of them. May use
 * {@code tensor} only.
 */
package dev.lacuna.ops;
