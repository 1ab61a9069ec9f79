// Kernels of EmulatorTest. probe.ptx is what nvcc 13.0.88 makes of them: nvcc -arch=compute_80 -ptx probe.cu, the version lowered to 7.0.

extern "C" __global__ void add(const float *a, const float *b, float *c, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) c[i] = a[i] + b[i];
}

extern "C" __global__ void scale(float *x, float by, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) x[i] *= by;
}

/// One thread writes behind the end.
extern "C" __global__ void beyond(float *x, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) x[i + (i == 37 ? n - 37 : 0)] = 1;
}

/// Reverses a block through shared memory whose size the launch gives.
extern "C" __global__ void __launch_bounds__(256) reverse(float *x) {
    extern __shared__ float turned[];
    turned[blockDim.x - 1 - threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    x[threadIdx.x] = turned[threadIdx.x];
}
