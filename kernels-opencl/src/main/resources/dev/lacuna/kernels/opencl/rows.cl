// Operations on rows: norms, activations, packing, the best tokens, choosing by scores. Rows have a stride of whole blocks; what is behind their columns is zero.

#define NORM_ITEMS 64

// Packs rows of floats; a work-item does a block.
__kernel void pack(__global const float *x, int stride, int rows, __global char *codes, __global float2 *scales) {
    int block = get_global_id(0), row = get_global_id(1), blocks = stride / BLOCK;
    if (block >= blocks || row >= rows) return;
    float v[BLOCK];
    __global const float *from = x + (size_t) row * stride + block * BLOCK;
    for (int i = 0; i < BLOCK; i++) v[i] = from[i];
    pack_block(v, codes + (size_t) row * stride + block * BLOCK, scales + (size_t) row * blocks + block);
}

// Mean (0 for an RMS norm) and the factor 1 / sqrt(variance + eps) of a row: kind 1 is RMS, 2 is LAYER; 0 reads nothing, but all come to the barriers.
inline float2 moments(__global const float *x, int cols, int kind, float eps, __local float *part) {
    int l = get_local_id(0);
    float sum = 0;
    for (int c = l; c < (kind == 2 ? cols : 0); c += NORM_ITEMS) sum += x[c];
    float mean = group_sum(part, NORM_ITEMS, sum) / cols;
    float square = 0;
    for (int c = l; c < (kind ? cols : 0); c += NORM_ITEMS) {
        float centred = x[c] - mean;
        square = fma(centred, centred, square);
    }
    float variance = group_sum(part, NORM_ITEMS, square) / cols;
    return (float2) (mean, 1.0f / sqrt(variance + eps));
}

inline float normed(float x, float2 m, __global const float *gain, __global const float *bias, int biased, int c) {
    float y = (x - m.x) * m.y * gain[c];
    return biased ? y + bias[c] : y;
}

// A work-group does a row. Kinds are 0 where there is no such norm; packs: out goes to codes and scales.
__kernel __attribute__((reqd_work_group_size(NORM_ITEMS, 1, 1)))
void norm(__global float *residual, int cols, int stride, __global const float *delta, int has_delta,
          int post_kind, __global const float *post_gain, __global const float *post_bias, int post_biased, float post_eps,
          int kind, __global const float *gain, __global const float *bias, int biased, float eps,
          int keep, int packs, __global float *out, __global char *codes, __global float2 *scales) {
    __local float part[NORM_ITEMS];
    int row = get_group_id(0), l = get_local_id(0);
    __global float *x = residual + (size_t) row * stride;
    __global const float *d = delta + (has_delta ? (size_t) row * stride : 0);
    float2 post = moments(d, cols, post_kind, post_eps, part);
    if (has_delta) {
        for (int c = l; c < cols; c += NORM_ITEMS) {
            x[c] += post_kind ? normed(d[c], post, post_gain, post_bias, post_biased, c) : d[c];
        }
    }
    barrier(CLK_GLOBAL_MEM_FENCE);
    float2 m = moments(x, cols, kind, eps, part);
    if (!kind) return;
    if (!packs) {
        for (int c = l; c < cols; c += NORM_ITEMS) {
            float y = normed(x[c], m, gain, bias, biased, c);
            out[(size_t) row * stride + c] = y;
            if (keep) x[c] = y;
        }
        return;
    }
    int blocks = stride / BLOCK;
    for (int b = l; b < blocks; b += NORM_ITEMS) {
        float v[BLOCK];
        for (int i = 0; i < BLOCK; i++) {
            int c = b * BLOCK + i;
            v[i] = c < cols ? normed(x[c], m, gain, bias, biased, c) : 0.0f;
            if (keep && c < cols) x[c] = v[i];
        }
        pack_block(v, codes + (size_t) row * stride + b * BLOCK, scales + (size_t) row * blocks + b);
    }
}

// In forms without a difference of almost equal numbers: 1 + tanh(u) is 2 / (1 + exp(-2 u)), 1 + erf(x) is erfc(-x).
inline float activated(int f, float x) {
    switch (f) {
    case 0: // SILU
        return x / (1.0f + exp(-x));
    case 1: // GELU_TANH
        return x / (1.0f + exp(-1.5957691216057308f * (x + 0.044715f * x * x * x)));
    case 2: // GELU_ERF
        return 0.5f * x * erfc(-0.70710678118654752f * x);
    default: // RELU
        return x < 0.0f ? 0.0f : x;
    }
}

// A work-item does a value, or a block where it packs.
__kernel void activate(int f, __global const float *gate, __global const float *up, int gated, int cols, int stride, int rows,
                       __global float *out) {
    int c = get_global_id(0), row = get_global_id(1);
    if (c >= cols || row >= rows) return;
    size_t at = (size_t) row * stride + c;
    float y = activated(f, gate[at]);
    out[at] = gated ? y * up[at] : y;
}

__kernel void activate_pack(int f, __global const float *gate, __global const float *up, int gated, int cols, int stride, int rows,
                            __global char *codes, __global float2 *scales) {
    int block = get_global_id(0), row = get_global_id(1), blocks = stride / BLOCK;
    if (block >= blocks || row >= rows) return;
    size_t first = (size_t) row * stride + block * BLOCK;
    float v[BLOCK];
    for (int i = 0; i < BLOCK; i++) {
        float y = 0;
        if (block * BLOCK + i < cols) {
            y = activated(f, gate[first + i]);
            if (gated) y *= up[first + i];
        }
        v[i] = y;
    }
    pack_block(v, codes + first, scales + (size_t) row * blocks + block);
}

#define BEST_ITEMS 128

// A logit and its token as one number that orders as Float.compare does, NaN first, ties to the smaller id.
inline ulong rank_of(float x, int id) {
    uint bits = isnan(x) ? 0x7fc00000u : as_uint(x);
    uint key = bits ^ ((bits & 0x80000000u) ? 0xffffffffu : 0x80000000u);
    return ((ulong) key << 32) | (uint) (0x7fffffff - id);
}

// The k best of a row: the best, then the best below it, and so on. A work-group does a row.
__kernel __attribute__((reqd_work_group_size(BEST_ITEMS, 1, 1)))
void best(__global const float *logits, int stride, int vocabulary, int k, __global int *ids) {
    __local ulong part[BEST_ITEMS];
    int row = get_group_id(0), l = get_local_id(0);
    __global const float *x = logits + (size_t) row * stride;
    ulong last = ~(ulong) 0;
    for (int n = 0; n < k; n++) {
        ulong most = 0;
        for (int id = l; id < vocabulary; id += BEST_ITEMS) {
            ulong r = rank_of(x[id], id);
            if (r < last) most = max(most, r);
        }
        part[l] = most;
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int half_n = BEST_ITEMS / 2; half_n > 0; half_n /= 2) {
            if (l < half_n) part[l] = max(part[l], part[l + half_n]);
            barrier(CLK_LOCAL_MEM_FENCE);
        }
        last = part[0];
        if (l == 0) ids[(size_t) row * k + n] = 0x7fffffff - (int) (last & 0x7fffffffu);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
}

#define SELECT_ITEMS 128

// The columns whose score is above the threshold in any row that belongs to a sequence, ascending, behind their number. One work-group, a work-item of
// which looks at 32 columns at a time.
__kernel __attribute__((reqd_work_group_size(SELECT_ITEMS, 1, 1)))
void select_above(__global const float *scores, int cols, int stride, __global const int *sequences, int rows, float threshold,
                  __global int *set) {
    __local int upto[SELECT_ITEMS];
    int l = get_local_id(0), kept = 0;
    for (int base = 0; base < cols; base += SELECT_ITEMS * BLOCK) {
        int first = base + l * BLOCK;
        uint above = 0;
        for (int r = 0; r < rows; r++) {
            if (sequences[r] < 0) continue;
            __global const float *x = scores + (size_t) r * stride + first;
            for (int i = 0; i < min(cols - first, BLOCK); i++) above |= (uint) (x[i] > threshold) << i;
        }
        int own = popcount(above);
        upto[l] = own;
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int step = 1; step < SELECT_ITEMS; step *= 2) {
            int before = l >= step ? upto[l - step] : 0;
            barrier(CLK_LOCAL_MEM_FENCE);
            upto[l] += before;
            barrier(CLK_LOCAL_MEM_FENCE);
        }
        int at = 1 + kept + upto[l] - own;
        for (int i = 0; i < BLOCK; i++) {
            if (above >> i & 1) set[at++] = first + i;
        }
        kept += upto[SELECT_ITEMS - 1];
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    if (l == 0) set[0] = kept;
}
