/** The operations in OpenCL C, called through JOCL. */
@org.jspecify.annotations.NullMarked
package dev.lacuna.kernels.opencl;
