// Rotation, append and attention, for one packing of the cache: KV is 0 for F32, 1 for F16, 2 for bytes with a scale for each position and head.
// A block of the cache holds for each head its keys transposed, [head size x 32], so that 32 positions are read side by side; then for each head its
// values, [32 x head size]. Behind a head's 32 x head size bytes are its 32 scales.

#define ITEMS 32

inline size_t head_bytes(int size) {
    return BLOCK * (KV == 0 ? 4 * (size_t) size : KV == 1 ? 2 * (size_t) size : (size_t) size + 4);
}

inline float cached(__global const uchar *head, int i) {
#if KV == 0
    return ((__global const float *) head)[i];
#elif KV == 1
    return vload_half(i, (__global const half *) head);
#else
    return ((__global const char *) head)[i];
#endif
}

inline void store(__global uchar *head, int i, float x, float scale, float inv) {
#if KV == 0
    ((__global float *) head)[i] = x;
#elif KV == 1
    vstore_half_rte(x, i, (__global half *) head);
#else
    ((__global char *) head)[i] = code_of(x, scale, inv);
#endif
}

inline __global float *scales(__global uchar *head, int size) {
    return (__global float *) (head + BLOCK * (size_t) size);
}

// A work-group does a head of a row: first the query heads, then the key heads, then the value heads.
__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1)))
void rope_append(__global float *q, int q_stride, int q_heads, __global float *k, __global float *v, int kv_stride, int kv_heads,
                 int normed, __global const float *q_gain, __global const float *k_gain, float eps,
                 __global const float *table, int dims, int size, int interleaved,
                 __global uchar *cache, __global const int *positions, __global const int *blocks, __local float *h) {
    __local float part[ITEMS];
    __local uint top[ITEMS];
    int slot = get_group_id(0), row = get_group_id(1), l = get_local_id(0);
    int is_q = slot < q_heads, is_v = slot >= q_heads + kv_heads;
    int head = is_q ? slot : is_v ? slot - q_heads - kv_heads : slot - q_heads;
    int position = positions[row];
    __global float *x = (is_q ? q + (size_t) row * q_stride : (is_v ? v : k) + (size_t) row * kv_stride) + (size_t) head * size;

    float square = 0;
    for (int i = l; i < size; i += ITEMS) {
        float y = x[i];
        h[i] = y;
        square = fma(y, y, square);
    }
    float factor = 1.0f / sqrt(group_sum(part, ITEMS, square) / size + eps);
    if (normed && !is_v) {
        __global const float *gain = is_q ? q_gain : k_gain;
        for (int i = l; i < size; i += ITEMS) h[i] = h[i] * factor * gain[i];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    if (!is_v) {
        int pairs = dims / 2;
        for (int i = l; i < pairs; i += ITEMS) {
            int first = interleaved ? 2 * i : i, second = interleaved ? 2 * i + 1 : i + pairs;
            float c = table[(size_t) position * dims + 2 * i], s = table[(size_t) position * dims + 2 * i + 1];
            float a = h[first], b = h[second];
            h[first] = a * c - b * s;
            h[second] = a * s + b * c;
        }
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    uint most = 0;
    for (int i = l; i < size; i += ITEMS) {
        most = max(most, magnitude(h[i]));
        if (!is_v) x[i] = h[i];
    }
    top[l] = most;
    barrier(CLK_LOCAL_MEM_FENCE);
    if (is_q) return;
    for (int i = 0; i < ITEMS; i++) most = max(most, top[i]);
    float scale = scale_of(most), inv = inverse_of(scale);
    int at = position % BLOCK;
    __global uchar *to = cache + ((size_t) blocks[row] * 2 * kv_heads + (is_v ? kv_heads : 0) + head) * head_bytes(size);
    for (int i = l; i < size; i += ITEMS) store(to, is_v ? at * size + i : i * BLOCK + at, h[i], scale, inv);
    if (KV == 2 && l == 0) scales(to, size)[at] = scale;
}

// Softmax attention of one query head of a row by a work-group, block after block of the cache (online softmax: Milakov and Gimelshein, 2018).
// Blocks begin at absolute positions, so that the order of a row's sums depends on its own position alone.
__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1)))
void attend(__global const float *q, int stride, __global uchar *cache, __global const int *positions, __global const int *sequences,
            __global const int *table, int table_stride, __global const int *kv_of, int kv_heads, int size,
            float factor, float cap, int window, __global float *out, __local float *query, __local float *sum) {
    __local float score[BLOCK];
    __local float weight[BLOCK];
    __local float scaled[BLOCK];
    __local float base, shrink, sum_of_weights;
    int head = get_group_id(0), row = get_group_id(1), l = get_local_id(0);
    int sequence = sequences[row], last = positions[row];
    int first = window == 0 ? 0 : max(0, last - window + 1);
    int end = sequence < 0 ? 0 : last / BLOCK + 1;
    int kv_head = kv_of[head];
    __global const float *x = q + (size_t) row * stride + (size_t) head * size;
    for (int i = l; i < size; i += ITEMS) {
        query[i] = x[i];
        sum[i] = 0;
    }
    float most = -INFINITY, total = 0; // kept by the first work-item
    if (l == 0) sum_of_weights = 0;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int b = first / BLOCK; b < end; b++) {
        __global uchar *keys = cache + ((size_t) table[sequence * table_stride + b] * 2 * kv_heads + kv_head) * head_bytes(size);
        __global uchar *values = keys + kv_heads * head_bytes(size);
        int position = b * BLOCK + l;
        int valid = position >= first && position <= last;
        float dot = 0;
        for (int i = 0; i < size; i++) dot = fma(query[i], cached(keys, i * BLOCK + l), dot);
        if (KV == 2) dot *= scales(keys, size)[l];
        float s = capped(dot * factor, cap);
        score[l] = valid ? s : -INFINITY;
        barrier(CLK_LOCAL_MEM_FENCE);
        if (l == 0) {
            float now = most;
            for (int i = 0; i < BLOCK; i++) now = fmax(now, score[i]);
            base = now == -INFINITY ? 0.0f : now;
            shrink = exp(most - base);
            most = now;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        float w = valid ? exp(s - base) : 0.0f;
        weight[l] = w;
        scaled[l] = valid && KV == 2 ? w * scales(values, size)[l] : w;
        barrier(CLK_LOCAL_MEM_FENCE);
        if (l == 0) {
            float added = 0;
            for (int i = 0; i < BLOCK; i++) added += weight[i];
            total = fma(total, shrink, added);
            sum_of_weights = total;
        }
        int from = max(first - b * BLOCK, 0), to = min(last - b * BLOCK, BLOCK - 1);
        for (int i = l; i < size; i += ITEMS) {
            float y = sum[i] * shrink;
            for (int p = from; p <= to; p++) y = fma(scaled[p], cached(values, p * size + i), y);
            sum[i] = y;
        }
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int i = l; i < size; i += ITEMS) {
        out[(size_t) row * stride + (size_t) head * size + i] = sequence < 0 ? 0.0f : sum[i] / sum_of_weights;
    }
}
