package dev.lacuna.kernels.cuda;

import jcuda.driver.CUdeviceptr;

/** An address of the device as JCuda takes it. */
final class DevicePointer extends CUdeviceptr {
    /** To be filled by an allocation. */
    DevicePointer() {}

    private DevicePointer(long address) {
        super(new CUdeviceptr(), address);
    }

    static DevicePointer at(long address) {
        return new DevicePointer(address);
    }

    long address() {
        return getNativePointer() + getByteOffset();
    }
}
