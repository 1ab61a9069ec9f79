// Weights as they were placed: a plane of values or codes in rows of whole blocks of 32, then a plane of scales, then one of zero points.
// FORMAT: 0 F32, 1 F16, 2 BF16, 3 I8_ROW, 4 Q8_0, 5 Q4_0, 6 Q4_1, 7 I4_GROUP, whose groups are of PER blocks.

#define BYTES (FORMAT == 3 || FORMAT == 4)

#if FORMAT >= 3
// The codes of a block of a row, four to a vector; those of Q4_1 and I4_GROUP are unsigned.
inline void codes_of(__global const uchar *w, size_t block, char4 *c) {
#if BYTES
    __global const char4 *from = (__global const char4 *) (w + block * 32);
    for (int i = 0; i < 8; i++) c[i] = from[i];
#else
    __global const uchar4 *from = (__global const uchar4 *) (w + block * 16);
    for (int i = 0; i < 4; i++) {
        uchar4 both = from[i];
        c[i] = as_char4(both & (uchar4) 15);
        c[i + 4] = as_char4(both >> (uchar4) 4);
#if FORMAT == 5
        c[i] -= (char4) 8;
        c[i + 4] -= (char4) 8;
#endif
    }
#endif
}

// The scale of a block of a row, and its minimum or zero point.
inline float2 scale_at(__global const uchar *w, ulong scales, ulong zeros, int row, size_t block) {
#if FORMAT == 3
    return (float2) (((__global const float *) (w + scales))[row], 0.0f);
#elif FORMAT == 6
    return vload_half2(block, (__global const half *) (w + scales));
#elif FORMAT == 7
    return (float2) (((__global const float *) (w + scales))[block / PER], (float) ((__global const char *) (w + zeros))[block / PER]);
#else
    return (float2) (vload_half(block, (__global const half *) (w + scales)), 0.0f);
#endif
}
#endif

// A block of a row as floats, rounded as the codec rounds them.
inline void values_of(__global const uchar *w, ulong scales, ulong zeros, int row, size_t block, float4 *v) {
#if FORMAT == 0
    __global const float4 *from = (__global const float4 *) w + block * 8;
    for (int i = 0; i < 8; i++) v[i] = from[i];
#elif FORMAT == 1
    for (int i = 0; i < 8; i++) v[i] = vload_half4(block * 8 + i, (__global const half *) w);
#elif FORMAT == 2
    __global const ushort4 *from = (__global const ushort4 *) w + block * 8;
    for (int i = 0; i < 8; i++) v[i] = as_float4(convert_uint4(from[i]) << (uint4) 16);
#else
    char4 c[8];
    codes_of(w, block, c);
    float2 d = scale_at(w, scales, zeros, row, block);
    for (int i = 0; i < 8; i++) {
        float4 q = convert_float4(c[i]);
#if FORMAT == 6
        v[i] = d.x * q + d.y;
#elif FORMAT == 7
        v[i] = d.x * (q - d.y);
#else
        v[i] = d.x * q;
#endif
    }
#endif
}
