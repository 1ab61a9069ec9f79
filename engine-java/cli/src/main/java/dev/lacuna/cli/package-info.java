/** The {@code lacuna} command: one small class for each command, {@link dev.lacuna.cli.Console} for what they talk to. */
@org.jspecify.annotations.NullMarked
package dev.lacuna.cli;
