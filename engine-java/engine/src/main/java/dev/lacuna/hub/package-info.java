/** Where models come from: sources, the catalogue, and the cache that fetches each file once. Prints nothing: who calls it shows the {@link dev.lacuna.hub.Progress}. */
package dev.lacuna.hub;
