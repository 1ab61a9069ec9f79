/** An HTTP server with OpenAI's routes: admission, streams, keys, metrics, drain. */
@org.jspecify.annotations.NullMarked
package dev.lacuna.server;
