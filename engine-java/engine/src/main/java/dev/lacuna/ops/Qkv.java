package dev.lacuna.ops;

/** The three projections of an attention block, fed by one activation. */
public record Qkv(Linear q, Linear k, Linear v) {}
