/** The engine loop with continuous batching, generations, samplers and stop rules. May use {@code model} and {@code text}. */
package dev.lacuna.generate;
