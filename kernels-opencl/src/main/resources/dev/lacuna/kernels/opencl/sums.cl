// What products share, for one format of weights and one input: PACKED is 0 for F32, 1 for signed bytes with a scale per 32.
// A row's sum has one order in every kernel. Blocks of 32 columns belong to eight strands, block b to strand b % 8. A strand adds its blocks'
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

// The sum of row `from` of the weights to its place.
inline void put(float sum, int from, int out, int row, int outs, int rows, __global const float *bias, int biased, float cap,
                __global float *y, int y_stride) {
    if (out >= outs || row >= rows) return;
    y[(size_t) row * y_stride + out] = capped(biased ? sum + bias[from] : sum, cap);
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

// A kernel of few rows: a work-group does eight outputs of ROWS rows, a work-item one strand of an output; each weight is read once. Of the outputs
// HAVE have a row of the weights, number FROM; the others are zeros. MORE is what that takes beside the operands.
#define FEW_OUTS 8
#define FEW(NAME, ROWS, MORE, HAVE, FROM) \
__kernel __attribute__((reqd_work_group_size(STRANDS, FEW_OUTS, 1))) \
void NAME(OPERANDS MORE) { \
    __local float part[FEW_OUTS][STRANDS][ROWS]; \
    int strand = get_local_id(0), lane = get_local_id(1); \
    int out = get_group_id(0) * FEW_OUTS + lane, first = get_group_id(1) * ROWS; \
    int has = out < (HAVE); \
    int from = has ? (FROM) : 0; \
    float sum[ROWS]; \
    size_t at[ROWS]; \
    for (int r = 0; r < ROWS; r++) { \
        sum[r] = 0; \
        at[r] = (size_t) index[min(first + r, rows - 1)] * blocks; \
    } \
    for (int b = strand; b < (has ? blocks : 0); b += STRANDS) { \
        FEW_BLOCK(ROWS) \
    } \
    for (int r = 0; r < ROWS; r++) part[lane][strand][r] = sum[r]; \
    barrier(CLK_LOCAL_MEM_FENCE); \
    for (int r = strand; r < ROWS; r += STRANDS) { \
        float total = 0; \
        for (int s = 0; s < STRANDS; s++) total += part[lane][s][r]; \
        put(total, from, out, first + r, outs, rows, bias, biased && has, cap, y, y_stride); \
    } \
}
