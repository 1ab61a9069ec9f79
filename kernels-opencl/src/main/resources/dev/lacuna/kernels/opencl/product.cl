// y = x . w^T + bias, capped, for one format of weights and one input: PACKED is 0 for F32, 1 for signed bytes with a scale per 32.
// A row's sum has one order in every kernel here. Blocks of 32 columns belong to eight strands, block b to strand b % 8. A strand adds its blocks'
// products from left to right; the strands are added from the first to the last.

#define STRANDS 8

#if PACKED
inline int dot4(char4 a, char4 b) {
    int4 p = convert_int4(a) * convert_int4(b);
    return (p.x + p.y) + (p.z + p.w);
}

// The product of a block from that of its codes, the weight's scale and the input's scale and sum of codes.
inline float scaled_product(int codes, float2 d, float2 x) {
#if FORMAT == 6
    return x.x * fma(d.x, (float) codes, d.y * x.y);
#elif FORMAT == 7
    return d.x * x.x * (float) (codes - (int) d.y * (int) x.y);
#else
    return d.x * x.x * (float) codes;
#endif
}
#define DOT(a, b, to) { to = 0; for (int i_ = 0; i_ < 8; i_++) to += dot4((a)[i_], (b)[i_]); }
#else
#define DOT(a, b, to) { \
    float4 sum_ = (a)[0] * (b)[0]; \
    for (int i_ = 1; i_ < 8; i_++) sum_ = fma((a)[i_], (b)[i_], sum_); \
    to = (sum_.x + sum_.y) + (sum_.z + sum_.w); \
}
#endif

#define OPERANDS __global const uchar *w, ulong scales, ulong zeros, int outs, int blocks, __global const float *bias, int biased, \
    __global const float4 *x, __global const char4 *x_codes, __global const float2 *x_scales, __global const int *index, int rows, \
    float cap, __global float *y, int y_stride

inline void put(float sum, int out, int row, int outs, int rows, __global const float *bias, int biased, float cap, __global float *y,
                int y_stride) {
    if (out >= outs || row >= rows) return;
    y[(size_t) row * y_stride + out] = capped(biased ? sum + bias[out] : sum, cap);
}

// Few rows: a work-group does eight outputs of ROWS rows, a work-item one strand of an output; each weight is read once.
#define FEW_OUTS 8
#define FEW(ROWS) \
__kernel __attribute__((reqd_work_group_size(STRANDS, FEW_OUTS, 1))) \
void few##ROWS(OPERANDS) { \
    __local float part[FEW_OUTS][STRANDS][ROWS]; \
    int strand = get_local_id(0), lane = get_local_id(1); \
    int out = get_group_id(0) * FEW_OUTS + lane, first = get_group_id(1) * ROWS; \
    int from = min(out, outs - 1); \
    float sum[ROWS]; \
    size_t at[ROWS]; \
    for (int r = 0; r < ROWS; r++) { \
        sum[r] = 0; \
        at[r] = (size_t) index[min(first + r, rows - 1)] * blocks; \
    } \
    for (int b = strand; b < blocks; b += STRANDS) { \
        FEW_BLOCK(ROWS) \
    } \
    for (int r = 0; r < ROWS; r++) part[lane][strand][r] = sum[r]; \
    barrier(CLK_LOCAL_MEM_FENCE); \
    for (int r = strand; r < ROWS; r += STRANDS) { \
        float total = 0; \
        for (int s = 0; s < STRANDS; s++) total += part[lane][s][r]; \
        put(total, out, first + r, outs, rows, bias, biased, cap, y, y_stride); \
    } \
}

#if PACKED
#define FEW_BLOCK(ROWS) \
    char4 v[8]; \
    codes_of(w, (size_t) from * blocks + b, v); \
    float2 d = scale_at(w, scales, zeros, from, (size_t) from * blocks + b); \
    for (int r = 0; r < ROWS; r++) { \
        int p; \
        DOT(v, x_codes + (at[r] + b) * 8, p) \
        sum[r] += scaled_product(p, d, x_scales[at[r] + b]); \
    }
#else
#define FEW_BLOCK(ROWS) \
    float4 v[8]; \
    values_of(w, scales, zeros, from, (size_t) from * blocks + b, v); \
    for (int r = 0; r < ROWS; r++) { \
        float p; \
        DOT(v, x + (at[r] + b) * 8, p) \
        sum[r] += p; \
    }
#endif

FEW(1)
FEW(4)
FEW(8)

// Many rows: a work-group does a tile of 32 outputs and 16 rows, a work-item four outputs of two rows. A block of columns of both goes through
// local memory: half of the work-items unpack a weight row each, the others bring the inputs.
#define TILE_OUTS 32
#define TILE_ROWS 16
#define SIDE 8
#define WIDE 9 // vectors of a row of local memory: one more than a block's eight, against bank conflicts

__kernel __attribute__((reqd_work_group_size(SIDE, SIDE, 1)))
void many(OPERANDS) {
#if PACKED
    __local char4 wt[TILE_OUTS][WIDE];
    __local char4 xt[TILE_ROWS][WIDE];
    __local float2 wd[TILE_OUTS];
    __local float2 xd[TILE_ROWS];
#else
    __local float4 wt[TILE_OUTS][WIDE];
    __local float4 xt[TILE_ROWS][WIDE];
#endif
    int lx = get_local_id(0), ly = get_local_id(1), l = ly * SIDE + lx;
    int out = get_group_id(0) * TILE_OUTS, row = get_group_id(1) * TILE_ROWS;
    float total[4][2], sum[4][2];
    for (int i = 0; i < 4; i++) for (int j = 0; j < 2; j++) total[i][j] = 0;
    for (int s = 0; s < STRANDS; s++) {
        for (int i = 0; i < 4; i++) for (int j = 0; j < 2; j++) sum[i][j] = 0;
        for (int b = s; b < blocks; b += STRANDS) {
            barrier(CLK_LOCAL_MEM_FENCE);
            if (l < TILE_OUTS) {
                int from = min(out + l, outs - 1);
                size_t block = (size_t) from * blocks + b;
#if PACKED
                char4 v[8];
                codes_of(w, block, v);
                wd[l] = scale_at(w, scales, zeros, from, block);
#else
                float4 v[8];
                values_of(w, scales, zeros, from, block, v);
#endif
                for (int i = 0; i < 8; i++) wt[l][i] = v[i];
            } else {
                for (int i = l - TILE_OUTS; i < TILE_ROWS * 8; i += TILE_OUTS) {
                    size_t block = (size_t) index[min(row + i / 8, rows - 1)] * blocks + b;
#if PACKED
                    xt[i / 8][i % 8] = x_codes[block * 8 + i % 8];
                    if (i % 8 == 0) xd[i / 8] = x_scales[block];
#else
                    xt[i / 8][i % 8] = x[block * 8 + i % 8];
#endif
                }
            }
            barrier(CLK_LOCAL_MEM_FENCE);
            for (int i = 0; i < 4; i++) {
                for (int j = 0; j < 2; j++) {
#if PACKED
                    int p;
                    DOT(wt[lx + SIDE * i], xt[ly + SIDE * j], p)
                    sum[i][j] += scaled_product(p, wd[lx + SIDE * i], xd[ly + SIDE * j]);
#else
                    float p;
                    DOT(wt[lx + SIDE * i], xt[ly + SIDE * j], p)
                    sum[i][j] += p;
#endif
                }
            }
        }
        for (int i = 0; i < 4; i++) for (int j = 0; j < 2; j++) total[i][j] += sum[i][j];
    }
    for (int i = 0; i < 4; i++) {
        for (int j = 0; j < 2; j++) {
            put(total[i][j], out + lx + SIDE * i, row + ly + SIDE * j, outs, rows, bias, biased, cap, y, y_stride);
        }
    }
}
