package dev.lacuna.kernels.cpu;

import dev.lacuna.ops.KvPool;
import dev.lacuna.ops.KvSpec;
import dev.lacuna.ops.KvType;
import dev.lacuna.tensor.Format;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;

/**
 * A cache outside the heap: {@code [layer][block][keys, values][head]}, for each head of a block its keys transposed, {@code [headSize x BLOCK]}, so
 * that scores of a block are a product without sums across lanes, or its values, {@code [BLOCK x headSize]}; then, if packed to bytes, the BLOCK
 * scales.
 */
final class CpuKvPool implements KvPool {
    private static final int BLOCK = KvSpec.BLOCK;

    private final KvSpec spec;
    private final int blocks;
    private final Kernels kernels;
    private final Arena arena = Arena.ofShared();
    private final MemorySegment[] layers;
    private final int headBytes;
    private boolean closed;

    CpuKvPool(KvSpec spec, int blocks, Kernels kernels) {
        this(spec, blocks, kernels, NativeMemory::plain);
    }

    CpuKvPool(KvSpec spec, int blocks, Kernels kernels, NativeMemory memory) {
        this.spec = spec;
        this.blocks = blocks;
        this.kernels = kernels;
        headBytes = BLOCK * spec.type().headBytes(spec.headSize());
        layers = new MemorySegment[spec.kvHeads().length];
        for (int l = 0; l < layers.length; l++) layers[l] = memory.allocate(Math.multiplyExact(layerBlock(l), (long) blocks), arena);
    }

    /** The bytes of a layer. */
    MemorySegment layer(int layer) {
        return layers[layer];
    }

    private long layerBlock(int layer) {
        return 2L * spec.kvHeads()[layer] * headBytes;
    }

    private long keysAt(int layer, int block, int head) {
        return block * layerBlock(layer) + (long) head * headBytes;
    }

    private long valuesAt(int layer, int block, int head) {
        return keysAt(layer, block, head) + (long) spec.kvHeads()[layer] * headBytes;
    }

    /** Stores one head's key and value at a position. */
    void append(int layer, int block, int slot, int head, float[] k, int kAt, float[] v, int vAt) {
        store(layers[layer], keysAt(layer, block, head), slot, slot, BLOCK, k, kAt);
        store(layers[layer], valuesAt(layer, block, head), slot, slot * spec.headSize(), 1, v, vAt);
    }

    /** Value i goes to element {@code first + i * step}, packed exactly as the definition says. */
    private void store(MemorySegment to, long at, int slot, int first, int step, float[] x, int from) {
        int n = spec.headSize();
        switch (spec.type()) {
            case F32 -> {
                for (int i = 0; i < n; i++) to.set(ValueLayout.JAVA_FLOAT, at + (long) Float.BYTES * (first + i * step), x[from + i]);
            }
            case F16 -> {
                for (int i = 0; i < n; i++) {
                    to.set(ValueLayout.JAVA_SHORT, at + (long) Short.BYTES * (first + i * step), Float.floatToFloat16(x[from + i]));
                }
            }
            case I8 -> {
                float max = 0;
                for (int i = 0; i < n; i++) max = Math.max(max, Math.abs(x[from + i]));
                float scale = max / 127;
                float inverse = scale < Float.MIN_NORMAL ? 0 : 1 / scale;
                for (int i = 0; i < n; i++)
                    to.set(ValueLayout.JAVA_BYTE, at + first + (long) i * step, (byte) (int) Math.rint(x[from + i] * inverse));
                to.set(ValueLayout.JAVA_FLOAT_UNALIGNED, at + scalesAt() + (long) Float.BYTES * slot, scale);
            }
        }
    }

    private long scalesAt() {
        return (long) BLOCK * spec.headSize();
    }

    /** Whether {@link #keys} and {@link #values} give bytes, to be multiplied with {@link #scales}. */
    boolean scaled() {
        return spec.type() == KvType.I8;
    }

    /** Unpacks the keys of a block as {@code [headSize x BLOCK]}. */
    void keys(int layer, int block, int head, float[] to, float[] scales) {
        unpack(layers[layer], keysAt(layer, block, head), BLOCK * spec.headSize(), to, 0);
        scales(layers[layer], keysAt(layer, block, head), scales);
    }

    /** Unpacks the values of a block as {@code [BLOCK x padded headSize]}. */
    void values(int layer, int block, int head, float[] to, float[] scales) {
        MemorySegment from = layers[layer];
        long at = valuesAt(layer, block, head);
        int n = spec.headSize();
        int stride = Kernels.padded(n);
        if (n == stride) {
            unpack(from, at, BLOCK * n, to, 0);
        } else {
            int row = spec.type().headBytes(n) - (scaled() ? Float.BYTES : 0);
            for (int p = 0; p < BLOCK; p++) unpack(from, at + (long) p * row, n, to, p * stride);
        }
        scales(from, at, scales);
    }

    private void scales(MemorySegment from, long at, float[] to) {
        if (scaled()) MemorySegment.copy(from, ValueLayout.JAVA_FLOAT_UNALIGNED, at + scalesAt(), to, 0, BLOCK);
    }

    private void unpack(MemorySegment from, long at, int n, float[] to, int toAt) {
        switch (spec.type()) {
            case F32 -> MemorySegment.copy(from, ValueLayout.JAVA_FLOAT_UNALIGNED, at, to, toAt, n);
            case F16 -> kernels.unpack(Format.F16, from, at, n, to, toAt);
            case I8 -> kernels.unpackBytes(from, at, n, to, toAt);
        }
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
        for (int l = 0; l < layers.length; l++) {
            long n = layerBlock(l);
            MemorySegment.copy(layers[l], from * n, layers[l], to * n, n);
        }
    }

    @Override
    public float[] readKeys(int layer, int block) {
        int heads = spec.kvHeads()[layer];
        int n = spec.headSize();
        float[] out = new float[BLOCK * heads * n];
        float[] keys = new float[BLOCK * n + Kernels.PAD];
        float[] scales = ones();
        for (int h = 0; h < heads; h++) {
            keys(layer, block, h, keys, scales);
            for (int p = 0; p < BLOCK; p++) {
                for (int i = 0; i < n; i++) out[(p * heads + h) * n + i] = keys[i * BLOCK + p] * scales[p];
            }
        }
        return out;
    }

    @Override
    public float[] readValues(int layer, int block) {
        int heads = spec.kvHeads()[layer];
        int n = spec.headSize();
        int stride = Kernels.padded(n);
        float[] out = new float[BLOCK * heads * n];
        float[] values = new float[BLOCK * stride];
        float[] scales = ones();
        for (int h = 0; h < heads; h++) {
            values(layer, block, h, values, scales);
            for (int p = 0; p < BLOCK; p++) {
                for (int i = 0; i < n; i++) out[(p * heads + h) * n + i] = values[p * stride + i] * scales[p];
            }
        }
        return out;
    }

    private static float[] ones() {
        float[] ones = new float[BLOCK];
        Arrays.fill(ones, 1);
        return ones;
    }

    @Override
    public void close() {
        if (closed) return;
        closed = true;
        arena.close();
    }
}
