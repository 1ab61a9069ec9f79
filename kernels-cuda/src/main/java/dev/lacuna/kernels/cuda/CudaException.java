package dev.lacuna.kernels.cuda;

import jcuda.driver.CUresult;

/** A call of the CUDA driver that failed: which, with what, and what to do. */
public final class CudaException extends RuntimeException {
    private static final long serialVersionUID = 1;

    private final int code;

    CudaException(int code, String call, String detail) {
        super(call + " failed with " + CUresult.stringFor(code) + (detail.isEmpty() ? "" : ": " + detail) + advice(code));
        this.code = code;
    }

    /** The driver's number of the error. */
    public int code() {
        return code;
    }

    /** Throws what a call returned unless that is success. */
    static void check(int code, String call) {
        if (code != CUresult.CUDA_SUCCESS) throw new CudaException(code, call, Driver.detail());
    }

    private static String advice(int code) {
        return switch (code) {
            case CUresult.CUDA_ERROR_OUT_OF_MEMORY ->
                " (choose a smaller context, --kv int8, a smaller --weights format, or --backend cpu)";
            case CUresult.CUDA_ERROR_NO_DEVICE ->
                " (is the device visible? see nvidia-smi, CUDA_VISIBLE_DEVICES; in containers --gpus all)";
            case CUresult.CUDA_ERROR_NO_BINARY_FOR_GPU, CUresult.CUDA_ERROR_INVALID_PTX, CUresult.CUDA_ERROR_UNSUPPORTED_PTX_VERSION ->
                " (the driver is too old for these kernels: install " + Driver.LEAST_DRIVER + ", or use --backend cpu)";
            case CUresult.CUDA_ERROR_ILLEGAL_ADDRESS, CUresult.CUDA_ERROR_LAUNCH_FAILED, CUresult.CUDA_ERROR_MISALIGNED_ADDRESS,
                    CUresult.CUDA_ERROR_ILLEGAL_INSTRUCTION, CUresult.CUDA_ERROR_ASSERT ->
                " (a kernel is broken and the device's context with it: start again with --backend cpu, and report this)";
            case CUresult.CUDA_ERROR_SYSTEM_DRIVER_MISMATCH ->
                " (the kernel module and libcuda.so.1 are of different versions: reboot or reinstall)";
            default -> "";
        };
    }
}
