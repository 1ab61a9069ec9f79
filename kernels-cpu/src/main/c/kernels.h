// What Java and C agree on. Every kernel is int32 f(const void *arguments, int64 from, int64 to, void *scratch): it does the parts from .. to of one
// operation on one thread, allocates nothing, and returns 0 or an error of the list below. Arguments are slots of 8 bytes: pointers, whole numbers,
// doubles. Java checks every range and alignment before it fills them.
#ifndef LACUNA_KERNELS_H
#define LACUNA_KERNELS_H

#include <stdint.h>

enum { OK = 0, BAD_FORMAT = 1, BAD_ARGUMENT = 2 };

/** Weight formats; the order is that of NativeFormat. */
enum format { F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K, Q6_K, I8_ROW, I8_GROUP, I4_GROUP, I8_24, I4_24, I8_BITMASK, I4_BITMASK, FORMATS };

enum input { IN_F32, IN_I8, IN_BF16 };
enum activation { SILU, GELU_TANH, GELU_ERF, RELU };
enum cache { KV_F32, KV_F16, KV_I8 };

/** Values of an activation that are packed at a time, positions of a block of the cache. */
#define BLOCK 32
#define KV_BLOCK 32

/**
 * An activation, row-major. As floats: [rows x stride]. As bytes: rows of `bytes` bytes, each the codes [padded], then for each block of 32 the scale
 * d, d times the sum of the codes (both F32), and for each 16 the negated sum of the codes (int32). Where more than a block shares a scale, each has a
 * copy of it, and for each block and the end there follows the negated sum of all codes before (int32). As bfloat16: rows of `bytes` bytes, each the
 * values [padded].
 */
struct act {
    float *floats;
    int8_t *codes;
    int64_t cols;   // values of a row
    int64_t padded; // cols, padded with zeros to whole blocks of 32; also the stride of floats
    int64_t bytes;  // stride of codes
    int64_t input;  // which of them is current
    int64_t block;  // codes that share a scale: 32, 64, 128, or 0 for all of a row
};

/** Weights in the order in which they are read: 16 rows at a time, see formats.h. */
struct weight {
    const uint8_t *data;
    int64_t rows;
    int64_t cols;
    int64_t format;
    int64_t group;      // values of a group of I8_GROUP, I4_GROUP, I4_24 and I4_BITMASK
    int64_t tile_bytes; // bytes of 16 rows; of bitmask formats, whose tiles differ, data begins with the offset of each (int64)
    const float *bias;  // [rows padded to 16] or null
};

struct pack_args {
    const uint8_t *source; // rows as the file packs them
    uint8_t *to;           // null: only measure, and leave the bytes of each tile (int64) at w.data
    int64_t source_bytes;  // of a row; 0: rows differ, and the source begins with the offset of each (int64)
    struct weight w;
};

/** y[r] = x[index[r]] . w^T + bias; parts are tiles of 16 outputs. */
struct product_args {
    struct weight w;
    struct act x;
    struct act y;
    const int32_t *index; // row r reads activation row index[r]
    int64_t rows;
    double cap; // softCap of logits; 0: none
};

/** hidden = f(gate(x)) * up(x); parts are pairs of tiles. */
struct gated_args {
    struct weight gate; // data null: f(up(x))
    struct weight up;
    struct act x;
    struct act hidden;
    const int32_t *index;
    int64_t rows;
    int64_t activation;
};

struct embed_args {
    struct weight table;
    struct weight positions; // data null: none
    struct act x;
    const int32_t *id;
    const int32_t *pos;
    int64_t offset;
    double scale;
};

struct norm {
    const float *gain; // null: no norm
    const float *bias; // null: none
    int64_t layer;     // whether the mean is taken out
    double eps;
};

/** See Ops.addNorm; parts are rows. */
struct norm_args {
    struct act residual;
    struct act delta; // floats null: none
    struct act out;   // floats null: none
    struct norm post;
    struct norm norm;
    int64_t keep_normed;
};

/** See Ops.ropeAppend; parts are rows. */
struct rope_args {
    struct act q;
    struct act k;
    struct act v;
    const float *q_gain; // null: no head norm
    const float *k_gain;
    double eps;
    const float *table; // [positions x dims / 2 x (cos, sin)]
    int64_t dims;
    int64_t head_size;
    int64_t interleaved;
    const int32_t *pos;
    const int32_t *block; // of the cache for each row
    uint8_t *cache;       // of the layer
    int64_t cache_type;
    int64_t kv_heads;
};

/** See Ops.attend; parts are (tile of rows, group of heads that read one key/value head). */
struct attend_args {
    struct act q;
    struct act out;
    const uint8_t *cache;
    int64_t cache_type;
    int64_t kv_heads;
    int64_t head_size;
    const int32_t *tiles;  // first row of each tile, and the end of the last
    const int32_t *heads;  // query heads, group after group
    const int32_t *groups; // first of each group in heads, and the end
    const int32_t *kv_of;  // for each query head
    int64_t group_count;
    const int32_t *pos;
    const int32_t *seq; // -1: padding
    const int32_t *table;
    int64_t table_stride;
    double scale;
    double cap;
    int64_t window;
};

struct activate_args {
    struct act gate;
    struct act up; // floats null: none
    struct act out;
    int64_t activation;
};

/** Packs rows of floats to codes in place; parts are rows. */
struct quantize_args {
    struct act x;
};

/** The k largest of each row; parts are rows. */
struct best_args {
    const float *scores;
    int64_t stride;
    int64_t vocabulary;
    int64_t k;
    int32_t *ids;
};

/**
 * Chosen rows of w, which lie one by one, tile_bytes apart; see Ops.rows, whose parts are chosen rows, and Ops.columns, whose parts are blocks of 32
 * columns. The bias belongs to what comes out: [rows of w] or [columns of w, padded to 32].
 */
struct gather_args {
    struct weight w;
    struct act x;
    struct act y;
    const int32_t *active; // which rows, ascending
    int64_t count;
    int64_t rows; // of the step
};

typedef int32_t kernel(const void *arguments, int64_t from, int64_t to, void *scratch);

/** One table for each tier, in the order of NativeKernels. */
struct kernels {
    kernel *pack, *product, *gated, *embed, *norm, *rope, *attend, *activate, *quantize, *best, *unpack, *rows, *columns;
};

#define DECLARE(t) kernel pack_##t, product_##t, gated_##t, embed_##t, norm_##t, rope_##t, attend_##t, activate_##t, quantize_##t, best_##t, unpack_##t, rows_##t, columns_##t;
DECLARE(avx2)
DECLARE(avx512)
#undef DECLARE
// tiers that differ from avx512 in their products alone; every processor with AMX multiplies bfloat16 in AVX-512 too
kernel product_avx512bf16, gated_avx512bf16, attend_avx512bf16, product_amx, gated_amx;

#define JOIN2(a, b) a##_##b
#define JOIN(a, b) JOIN2(a, b)
/** The name of a kernel in the tier that is compiled. */
#define KERNEL(name) JOIN(name, TIER)

#endif
