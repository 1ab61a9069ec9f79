package dev.lacuna.ops;

import java.util.Arrays;

/** A cache that keeps what each packing can represent, as floats: {@code [layer][block x BLOCK x heads x headSize]}. */
final class ReferenceKvPool implements KvPool {
    private final KvSpec spec;
    private final int blocks;
    private final float[][] keys;
    private final float[][] values;

    ReferenceKvPool(KvSpec spec, int blocks) {
        this.spec = spec;
        this.blocks = blocks;
        keys = new float[spec.kvHeads().length][];
        values = new float[spec.kvHeads().length][];
        for (int l = 0; l < keys.length; l++) {
            keys[l] = new float[Math.multiplyExact(blocks, blockSize(l))];
            values[l] = new float[keys[l].length];
        }
    }

    private int blockSize(int layer) {
        return KvSpec.BLOCK * rowSize(layer);
    }

    private int rowSize(int layer) {
        return spec.kvHeads()[layer] * spec.headSize();
    }

    void append(int layer, int block, int slot, double[] k, int kAt, double[] v, int vAt) {
        int at = block * blockSize(layer) + slot * rowSize(layer);
        for (int h = 0; h < rowSize(layer); h += spec.headSize()) {
            pack(k, kAt + h, keys[layer], at + h);
            pack(v, vAt + h, values[layer], at + h);
        }
    }

    private void pack(double[] x, int from, float[] to, int at) {
        switch (spec.type()) {
            case F32 -> {
                for (int i = 0; i < spec.headSize(); i++) to[at + i] = (float) x[from + i];
            }
            case F16 -> {
                for (int i = 0; i < spec.headSize(); i++) to[at + i] = Float.float16ToFloat(Float.floatToFloat16((float) x[from + i]));
            }
            case I8 -> {
                float max = 0;
                for (int i = 0; i < spec.headSize(); i++) max = Math.max(max, Math.abs((float) x[from + i]));
                float scale = max / 127;
                float inverse = scale < Float.MIN_NORMAL ? 0 : 1 / scale;
                for (int i = 0; i < spec.headSize(); i++) to[at + i] = (int) Math.rint((float) x[from + i] * inverse) * scale;
            }
        }
    }

    void key(int layer, int block, int slot, int head, double[] to) {
        get(keys[layer], block * blockSize(layer) + slot * rowSize(layer) + head * spec.headSize(), to);
    }

    void value(int layer, int block, int slot, int head, double[] to) {
        get(values[layer], block * blockSize(layer) + slot * rowSize(layer) + head * spec.headSize(), to);
    }

    private static void get(float[] from, int at, double[] to) {
        for (int i = 0; i < to.length; i++) to[i] = from[at + i];
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
        for (int l = 0; l < keys.length; l++) {
            System.arraycopy(keys[l], from * blockSize(l), keys[l], to * blockSize(l), blockSize(l));
            System.arraycopy(values[l], from * blockSize(l), values[l], to * blockSize(l), blockSize(l));
        }
    }

    @Override
    public float[] readKeys(int layer, int block) {
        return Arrays.copyOfRange(keys[layer], block * blockSize(layer), (block + 1) * blockSize(layer));
    }

    @Override
    public float[] readValues(int layer, int block) {
        return Arrays.copyOfRange(values[layer], block * blockSize(layer), (block + 1) * blockSize(layer));
    }

    @Override
    public void close() {
        // the arrays belong to the heap
    }
}
