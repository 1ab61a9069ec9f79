package dev.lacuna.kernels.opencl;

import dev.lacuna.ops.KvPool;
import dev.lacuna.ops.KvSpec;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;

/** A cache on the device, a buffer for each layer in the order that {@code cache.cl} states. */
final class ClKvPool implements KvPool {
    private static final int BLOCK = KvSpec.BLOCK;

    private final KvSpec spec;
    private final int blocks;
    private final DeviceMemory memory;
    private final DeviceMemory.Buffer[] layers;
    private final int headBytes;
    private boolean closed;

    ClKvPool(KvSpec spec, int blocks, DeviceMemory memory) {
        this.spec = spec;
        this.blocks = blocks;
        this.memory = memory;
        headBytes = Math.multiplyExact(BLOCK, spec.type().headBytes(spec.headSize()));
        int most = Arrays.stream(spec.kvHeads()).max().orElse(0);
        long all = Math.multiplyExact(spec.blockBytes(), (long) blocks);
        memory.require("a cache of " + (long) blocks * BLOCK + " tokens", all, 2L * most * headBytes * blocks,
                free -> free / Math.max(1, spec.blockBytes()) * BLOCK + " would fit");
        layers = new DeviceMemory.Buffer[spec.kvHeads().length];
        for (int l = 0; l < layers.length; l++) layers[l] = memory.allocate("layer " + l + " of the cache", blockBytes(l) * blocks);
    }

    DeviceMemory.Buffer layer(int layer) {
        return layers[layer];
    }

    private long blockBytes(int layer) {
        return 2L * spec.kvHeads()[layer] * headBytes;
    }

    @Override
    public KvSpec spec() {
        return spec;
    }

    @Override
    public int blocks() {
        return blocks;
    }

    @Override
    public long bytes() {
        return spec.blockBytes() * blocks;
    }

    @Override
    public void copyBlock(int from, int to) {
        if (from == to) return;
        for (int l = 0; l < layers.length; l++) {
            long n = blockBytes(l);
            if (n > 0) memory.copy(layers[l], from * n, to * n, n);
        }
    }

    @Override
    public float[] readKeys(int layer, int block) {
        return read(layer, block, 0, 1, BLOCK);
    }

    @Override
    public float[] readValues(int layer, int block) {
        return read(layer, block, 1, spec.headSize(), 1);
    }

    /** Keys or values of a block, where a position's values begin {@code row} apart and follow each other {@code step} apart. */
    private float[] read(int layer, int block, int which, int row, int step) {
        int heads = spec.kvHeads()[layer], size = spec.headSize();
        float[] out = new float[BLOCK * heads * size];
        long n = (long) heads * headBytes;
        if (n == 0) return out;
        memory.stage(n);
        memory.receive(layers[layer], block * blockBytes(layer) + which * n, n);
        MemorySegment stage = memory.stage();
        for (int h = 0; h < heads; h++) {
            long at = (long) h * headBytes;
            for (int p = 0; p < BLOCK; p++) {
                for (int i = 0; i < size; i++) out[(p * heads + h) * size + i] = value(stage, at, p * row + i * step, p);
            }
        }
        return out;
    }

    private float value(MemorySegment from, long at, int i, int slot) {
        return switch (spec.type()) {
            case F32 -> from.get(ValueLayout.JAVA_FLOAT_UNALIGNED, at + (long) Float.BYTES * i);
            case F16 -> Float.float16ToFloat(from.get(ValueLayout.JAVA_SHORT_UNALIGNED, at + (long) Short.BYTES * i));
            case I8 -> from.get(ValueLayout.JAVA_BYTE, at + i)
                    * from.get(ValueLayout.JAVA_FLOAT_UNALIGNED, at + (long) BLOCK * spec.headSize() + (long) Float.BYTES * slot);
        };
    }

    @Override
    public void close() {
        if (closed) return;
        closed = true;
        for (DeviceMemory.Buffer layer : layers) memory.free(layer);
    }
}
