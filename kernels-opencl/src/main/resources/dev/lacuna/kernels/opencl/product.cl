// y = x . w^T + bias, capped; what the sums are, and in what order, is in sums.cl.

FEW(few1, 1, , outs, out)
FEW(few4, 4, , outs, out)
FEW(few8, 8, , outs, out)

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
            int o = out + lx + SIDE * i;
            put(total[i][j], o, o, row + ly + SIDE * j, outs, rows, bias, biased, cap, y, y_stride);
        }
    }
}
