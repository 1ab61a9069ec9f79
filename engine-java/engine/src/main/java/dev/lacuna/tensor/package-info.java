/** Packed matrices at rest: formats, tensors, and what the bytes mean. Knows nothing but the JDK. */
package dev.lacuna.tensor;
