package dev.lacuna.ops;

/**
 * One choice made at load.
 *
 * @param op     name of the operation
 * @param on     format and input that it was made for
 * @param kernel tier and name of what runs
 * @param reason why, in a few words
 */
public record Decision(String op, String on, String kernel, String reason) {}
