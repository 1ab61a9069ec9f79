package dev.lacuna.generate;

/**
 * What an engine was doing after its last step.
 *
 * @param running      sequences of a step
 * @param waiting      requests that have not started
 * @param blocksInUse  cache blocks that running sequences hold or have reserved
 * @param blocksCached cache blocks that hold a prefix nobody uses just now
 * @param blocks       all cache blocks
 */
public record EngineStats(int running, int waiting, int blocksInUse, int blocksCached, int blocks) {}
