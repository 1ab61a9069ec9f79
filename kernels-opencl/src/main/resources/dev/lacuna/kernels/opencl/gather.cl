// Products of chosen rows of a matrix, and their weighted sum. A set of rows is their number and, behind it, their indices, ascending.

// y[row][j] = x[row] . w[set[j]] + bias[set[j]], with the bits that the product with all rows has; zeros past the set.
#define CHOSEN , __global const int *set
FEW(rows1, 1, CHOSEN, set[0], set[1 + out])
FEW(rows4, 4, CHOSEN, set[0], set[1 + out])
FEW(rows8, 8, CHOSEN, set[0], set[1 + out])

#if !PACKED
#define COLUMN_BLOCKS 4
#define COLUMN_STRANDS 16

// y[row] = bias + sum of x[row][j] * w[set[j]]. A work-group does four blocks of 32 columns of a row, a work-item one strand of a block: the chosen
// row j belongs to strand j % 16, and strands are added from the first to the last.
__kernel __attribute__((reqd_work_group_size(COLUMN_BLOCKS, COLUMN_STRANDS, 1)))
void columns(__global const uchar *w, ulong scales, ulong zeros, int cols, int blocks, __global const float *bias, int biased,
             __global const float *x, int x_stride, __global const int *set, __global float *y, int y_stride) {
    __local float4 part[COLUMN_BLOCKS][COLUMN_STRANDS][8];
    int lane = get_local_id(0), strand = get_local_id(1);
    int b = get_group_id(0) * COLUMN_BLOCKS + lane, row = get_group_id(1);
    int n = b < blocks ? set[0] : 0;
    float4 sum[8];
    for (int i = 0; i < 8; i++) sum[i] = 0;
    for (int j = strand; j < n; j += COLUMN_STRANDS) {
        int from = set[1 + j];
        float weight = x[(size_t) row * x_stride + j];
        float4 v[8];
        values_of(w, scales, zeros, from, (size_t) from * blocks + b, v);
        for (int i = 0; i < 8; i++) sum[i] = fma((float4) (weight), v[i], sum[i]);
    }
    for (int i = 0; i < 8; i++) part[lane][strand][i] = sum[i];
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int i = strand; i < BLOCK; i += COLUMN_STRANDS) {
        int c = b * BLOCK + i;
        if (c >= cols) break; // what is behind the columns stays zero
        float total = 0;
        for (int s = 0; s < COLUMN_STRANDS; s++) total += ((__local const float *) part[lane][s])[i];
        y[(size_t) row * y_stride + c] = biased ? total + bias[c] : total;
    }
}
#endif
