package dev.lacuna.kernels.opencl;

import org.jocl.CL;

/** A call of OpenCL failed; the message names the call and the error. */
public final class OpenClException extends RuntimeException {
    private static final long serialVersionUID = 1;

    private final int status;

    OpenClException(String call, int status, String detail) {
        super(call + " failed: " + CL.stringFor_errorCode(status) + (detail.isEmpty() ? "" : ", " + detail));
        this.status = status;
    }

    /** The error as OpenCL numbers it. */
    public int status() {
        return status;
    }

    /** Passes if the call's status is success. */
    static void check(String call, int status) {
        if (status != CL.CL_SUCCESS) throw new OpenClException(call, status, "");
    }
}
