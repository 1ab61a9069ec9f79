/** Text to token ids and back: tokenizers, chat templates, UTF-8-safe stream decoding. Uses nothing of the engine but the JDK. */
package dev.lacuna.text;
