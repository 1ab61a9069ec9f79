// What all kernels share. Sums have one order, whatever the work-group or the batch: products and sums are fused only where fma() says so.
#pragma OPENCL FP_CONTRACT OFF

// Values that share a scale, and positions of a block of the cache.
#define BLOCK 32

// max / 127 and 1 / d, correctly rounded also where the device's own division is not (Markstein, 1990).
inline float per127(float most) {
    const float r = 1.0f / 127.0f;
    float q = most * r;
    return fma(fma(-q, 127.0f, most), r, q);
}

inline float inverse(float d) {
    float r = 1.0f / d;
    return fma(fma(-d, r, 1.0f), r, r);
}

// The scale of values whose largest magnitude has these bits. As integers a NaN is above infinity, so that none gets lost.
inline float scale_of(uint top) {
    return top >= 0x7f800000u ? as_float(top) : per127(as_float(top));
}

inline float inverse_of(float scale) {
    return scale < 0x1p-126f ? 0.0f : inverse(scale);
}

// What is not finite has a scale that is not, and codes of zero.
inline char code_of(float x, float scale, float inv) {
    return isfinite(scale) ? convert_char_sat(rint(x * inv)) : (char) 0;
}

inline uint magnitude(float x) {
    return as_uint(x) & 0x7fffffffu;
}

// A block of 32 values as signed bytes, its scale and the sum of its codes.
inline void pack_block(const float *v, __global char *codes, __global float2 *scale) {
    uint top = 0;
    for (int i = 0; i < BLOCK; i++) top = max(top, magnitude(v[i]));
    float d = scale_of(top);
    float inv = inverse_of(d);
    int sum = 0;
    for (int i = 0; i < BLOCK; i++) {
        char q = code_of(v[i], d, inv);
        codes[i] = q;
        sum += q;
    }
    *scale = (float2) (d, (float) sum);
}

inline float capped(float v, float cap) {
    return cap == 0.0f ? v : cap * tanh(v / cap);
}

// The sum of what each of n work-items brings, n a power of two; every work-item of the group must come.
inline float group_sum(__local float *part, int n, float v) {
    int l = get_local_id(0);
    barrier(CLK_LOCAL_MEM_FENCE);
    part[l] = v;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int half_n = n / 2; half_n > 0; half_n /= 2) {
        if (l < half_n) part[l] += part[l + half_n];
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    return part[0];
}
