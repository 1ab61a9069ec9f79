/** Open a model, chat, generate, score. Start at {@link dev.lacuna.Lacuna}. */
package dev.lacuna;
