/**
 * Model files over a memory map: metadata and tensors by name, nothing copied. Every number that a file holds is checked before it is used; what is
 * malformed is a {@link dev.lacuna.files.ModelFileException}.
 */
package dev.lacuna.files;
