// Rows of a table by index: x = scale * row, or x += scale * row. A work-item does a block.
__kernel void embed(__global const uchar *w, ulong scales, ulong zeros, __global const int *index, int offset, float scale, int add,
                    int cols, int stride, int rows, __global float *x) {
    int b = get_global_id(0), row = get_global_id(1), blocks = stride / BLOCK;
    if (b >= blocks || row >= rows) return;
    int from = offset + index[row];
    float4 v[8];
    values_of(w, scales, zeros, from, (size_t) from * blocks + b, v);
    __global float4 *to = (__global float4 *) (x + (size_t) row * stride) + b * 8;
    for (int i = 0; i < 8; i++) to[i] = add ? to[i] + scale * v[i] : scale * v[i];
}
