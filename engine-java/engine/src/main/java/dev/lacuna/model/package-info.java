/** What a model is and how one step of it runs: its spec, its weights, the straight-line forward pass, and the bookkeeping of its cache. */
package dev.lacuna.model;
