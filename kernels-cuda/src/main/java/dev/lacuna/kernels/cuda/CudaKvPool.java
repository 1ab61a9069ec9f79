package dev.lacuna.kernels.cuda;

import dev.lacuna.ops.DeviceMemoryException;
import dev.lacuna.ops.KvPool;
import dev.lacuna.ops.KvSpec;
import dev.lacuna.ops.KvType;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * A cache on the device: for each layer keys and values as {@code [blocks][kvHeads][BLOCK][padded headSize]}, and if packed to bytes their scales as
 * {@code [blocks][kvHeads][BLOCK]}.
 */
final class CudaKvPool implements KvPool {
    private static final int BLOCK = KvSpec.BLOCK;
    /** Values of a head are padded to a multiple of this. */
    private static final int PADDING = 16;

    private final KvSpec spec;
    private final int blocks;
    private final CudaOps ops;
    private final DeviceArena arena;
    private final int size;
    private final long[] keys;
    private final long[] values;
    private final long[] keyScales;
    private final long[] valueScales;
    private boolean closed;

    CudaKvPool(KvSpec spec, int blocks, CudaOps ops) {
        this.spec = new KvSpec(spec.kvHeads().clone(), spec.headSize(), spec.type());
        this.blocks = blocks;
        this.ops = ops;
        arena = new DeviceArena(ops.device());
        size = padded(spec.headSize());
        int layers = spec.kvHeads().length;
        keys = new long[layers];
        values = new long[layers];
        keyScales = new long[layers];
        valueScales = new long[layers];
        long need = 0;
        for (int l = 0; l < layers; l++) need = Math.addExact(need, Math.multiplyExact(2L * blocks, blockBytes(l) + scaleBytes(l)));
        String what = "the cache of " + (long) (blocks - 1) * BLOCK + " tokens in " + spec.type();
        if (need > ops.device().available()) throw new DeviceMemoryException(what, need, ops.device().available(), ops.device().used());
        try {
            for (int l = 0; l < layers; l++) {
                if (spec.kvHeads()[l] == 0) continue;
                keys[l] = arena.zeros(blocks * blockBytes(l), what);
                values[l] = arena.zeros(blocks * blockBytes(l), what);
                if (spec.type() != KvType.I8) continue;
                keyScales[l] = arena.zeros(blocks * scaleBytes(l), what);
                valueScales[l] = arena.zeros(blocks * scaleBytes(l), what);
            }
        } catch (Throwable t) {
            arena.close();
            throw t;
        }
    }

    static int padded(int headSize) {
        return Math.toIntExact(Sizes.align(headSize, PADDING));
    }

    private int valueBytes() {
        return switch (spec.type()) {
            case F32 -> Float.BYTES;
            case F16 -> Short.BYTES;
            case I8 -> Byte.BYTES;
        };
    }

    private long blockBytes(int layer) {
        return (long) spec.kvHeads()[layer] * BLOCK * size * valueBytes();
    }

    private long scaleBytes(int layer) {
        return spec.type() == KvType.I8 ? (long) spec.kvHeads()[layer] * BLOCK * Float.BYTES : 0;
    }

    /** The four buffers of a layer as kernels take them. */
    Launch layer(Launch to, int layer) {
        return to.at(keys[layer]).at(values[layer]).at(keyScales[layer]).at(valueScales[layer]);
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
        return arena.bytes();
    }

    @Override
    public void copyBlock(int from, int to) {
        ops.device().enter();
        for (int l = 0; l < keys.length; l++) {
            long n = blockBytes(l);
            long s = scaleBytes(l);
            ops.device().copy(keys[l] + from * n, keys[l] + to * n, n);
            ops.device().copy(values[l] + from * n, values[l] + to * n, n);
            ops.device().copy(keyScales[l] + from * s, keyScales[l] + to * s, s);
            ops.device().copy(valueScales[l] + from * s, valueScales[l] + to * s, s);
        }
    }

    @Override
    public float[] readKeys(int layer, int block) {
        return read(keys, keyScales, layer, block);
    }

    @Override
    public float[] readValues(int layer, int block) {
        return read(values, valueScales, layer, block);
    }

    private float[] read(long[] of, long[] scalesOf, int layer, int block) {
        ops.device().enter();
        int heads = spec.kvHeads()[layer];
        int n = spec.headSize();
        float[] out = new float[BLOCK * heads * n];
        if (heads == 0) return out;
        float[] scales = new float[heads * BLOCK];
        long s = scaleBytes(layer);
        ops.staging().download(scalesOf[layer] + block * s, s, 1,
                (from, part) -> MemorySegment.copy(part, ValueLayout.JAVA_FLOAT, 0, scales, (int) from / Float.BYTES,
                        (int) part.byteSize() / Float.BYTES));
        int row = size * valueBytes();
        ops.staging().download(of[layer] + block * blockBytes(layer), blockBytes(layer), row, (from, part) -> {
            for (long at = 0; at < part.byteSize(); at += row) {
                int slot = (int) ((from + at) / row); // head * BLOCK + position
                int to = (slot % BLOCK * heads + slot / BLOCK) * n;
                for (int i = 0; i < n; i++) out[to + i] = value(part, at, i) * (s == 0 ? 1 : scales[slot]);
            }
        });
        return out;
    }

    private float value(MemorySegment row, long at, int i) {
        return switch (spec.type()) {
            case F32 -> row.get(ValueLayout.JAVA_FLOAT, at + 4L * i);
            case F16 -> Float.float16ToFloat(row.get(ValueLayout.JAVA_SHORT, at + 2L * i));
            case I8 -> row.get(ValueLayout.JAVA_BYTE, at + i);
        };
    }

    @Override
    public void close() {
        if (closed) return;
        closed = true;
        ops.forgetSteps();
        arena.close();
    }
}
